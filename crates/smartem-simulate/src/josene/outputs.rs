//! What `/devices/{id}` says about the values of a box.

use serde_json::{Value, json};

use crate::whale::PREFIX;

/// Name, label, whether it is charted, and unit of each value, in the words of the recorded answer.
const OUTPUTS: [(&str, &str, bool, &str); 34] = [
    ("s_temperatureunit", "Unit Temperature", true, "milliKelvin"),
    (
        "s_temperatureambient",
        "Ambient Temperature",
        true,
        "milliKelvin",
    ),
    ("s_humidity", "Relative Humidity", true, "%mRH"),
    ("s_lightsensortop", "Light Top", true, "Lux"),
    ("s_lightsensorbottom", "Light Bottom", true, "Lux"),
    ("s_barometer", "Air Pressure", true, "Pascal"),
    ("s_altimeter", "Height", true, "Meter"),
    ("s_accelerox", "Acceleration in the X-axis", true, "G"),
    ("s_acceleroy", "Acceleration in the Y-axis", true, "G"),
    ("s_acceleroz", "Acceleration in the Z-axis", true, "G"),
    ("s_lightsensorred", "Light Red", true, "Lux"),
    ("s_lightsensorgreen", "Light Green", true, "Lux"),
    ("s_lightsensorblue", "Light Blue", true, "Lux"),
    ("s_rgbcolor", "RGB Color", false, "RGB8"),
    ("s_rain", "Rain", true, "Rain value"),
    ("s_co2", "CO2 Concentration", true, "ppb"),
    ("s_coresistance", "CO Resistance", true, "Ohm"),
    ("s_no2resistance", "NO2 Resistance", true, "Ohm"),
    ("s_o3resistance", "O3 Resistance", true, "Ohm"),
    ("s_pm10", "PM 10", true, "ng/m3"),
    ("s_pm2_5", "PM 2.5", true, "ng/m3"),
    ("s_pm1", "PM 1", true, "ng/m3"),
    ("s_satinfo", "Satellite Info", false, "?"),
    ("s_latitude", "Latitude", false, "encoded latitude"),
    ("s_longitude", "Longitude", false, "encoded longitude"),
    ("s_secondofday", "Second of Day", false, "seconds"),
    ("s_rtcdate", "Date of the Clock", false, "?"),
    ("s_rtctime", "Time of the Clock", false, "?"),
    ("p_unitserialnumber", "Unit Id", false, "String"),
    ("p_errorstatus", "Error Status", false, "0=OK"),
    ("p_powerstate", "Powerstate", false, "?"),
    ("p_basetimer", "Base Timer", false, "seconds"),
    ("p_sessionuptime", "Session Uptime", false, "seconds"),
    ("p_totaluptime", "Total Uptime", false, "minutes"),
];

/// The body of `/devices/{id}` for a Josene box.
pub(crate) fn device(id: &str) -> String {
    let mut outputs: Vec<Value> = OUTPUTS
        .iter()
        .map(|(name, label, chart, unit)| {
            // The recorded server writes truth values as Python text.
            let chart = if *chart { "True" } else { "False" };
            json!({"name": name, "label": label, "chart": chart, "unit": unit})
        })
        .collect();
    outputs.push(octave("v_audio0", 0));
    outputs.extend((1..10).map(|n| octave(&format!("v_audioplus{n}"), n)));
    json!({
        "id": id,
        "timeseries": format!("{PREFIX}/devices/{id}/timeseries"),
        "last": format!("{PREFIX}/devices/{id}/last"),
        "outputs": outputs,
    })
    .to_string()
}

fn octave(name: &str, octave: u8) -> Value {
    let description = format!("Average Octave +{octave}").replace("+0", "0");
    json!({"name": name, "description": description, "chart": "False", "unit": "dB(A)"})
}
