use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

macro_rules! reasons {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// All reasons; the list is closed (R10.8).
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The reason as it is written in outputs, logs and metrics.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

reasons! {
    /// Why a sample, or its value for one indicator, was not used (R10.8).
    RejectReason {
        /// The sample is not a JSON object.
        NotAnObject = "not_an_object",
        /// The sample names a sensor that the station type does not have.
        UnknownSensor = "unknown_sensor",
        /// The sample has no time and nothing gives it one.
        MissingTime = "missing_time",
        /// The time is not in the form of R3.2.
        InvalidTime = "invalid_time",
        /// The time does not lie in the hour of the record.
        OutsideHour = "outside_hour",
        /// The sample was sent before.
        Duplicate = "duplicate",
        /// An input that the value needs is absent.
        MissingInput = "missing_input",
        /// Two samples of one instant disagree about the input.
        Conflicting = "conflicting",
        /// The input is no finite JSON number.
        NotANumber = "not_a_number",
        /// The input is no integer of 32 bits.
        NotAnInteger = "not_an_integer",
        /// Below the smallest value accepted.
        BelowMinimum = "below_minimum",
        /// Above the largest value accepted.
        AboveMaximum = "above_maximum",
        /// An octave without any reading.
        NoValidBand = "no_valid_band",
        /// All bands are zero: a dead microphone.
        NoSignal = "no_signal",
        /// No calibration model or parameters for this gas.
        NoCalibration = "no_calibration",
        /// A needed auxiliary value is absent or too old.
        MissingAuxiliary = "missing_auxiliary",
    }
}

reasons! {
    /// Why a whole record could not be used (R2.5, R10.8), or not be handed on.
    QuarantineReason {
        /// Not an object, no usable `device_id`, or no list `data.timeseries`.
        MalformedRecord = "malformed_record",
        /// No definition is loaded for this station type.
        UnknownDeviceType = "unknown_device_type",
        /// Day or hour is not valid.
        InvalidHour = "invalid_hour",
        /// Neither the samples, the record nor the station tell a position.
        NoLocation = "no_location",
        /// The other side of an output refused it for good.
        RefusedByOutput = "refused_by_output",
        /// Pushed by a station that nobody has made known.
        UnknownStation = "unknown_station",
    }
}

/// A record set aside: nothing of it is published, all of it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// The rule it failed.
    pub reason: QuarantineReason,
    /// What exactly, in words with the value.
    pub detail: String,
}

impl Quarantine {
    /// A quarantine of this reason.
    pub fn new(reason: QuarantineReason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
        }
    }
}

impl fmt::Display for Quarantine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.detail)
    }
}

/// How many samples were refused for one reason, with the first of them (R10.6).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rejection {
    /// `None` for reasons that concern the sample as a whole (R3).
    pub indicator: Option<Arc<str>>,
    /// The instrument; `None` together with the indicator.
    pub sensor: Option<Arc<str>>,
    /// Why.
    pub reason: RejectReason,
    /// How many samples.
    pub count: u64,
    /// The first such sample in order of time.
    pub example: Example,
}

/// The sample that shows a rejection.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Example {
    /// Its time as delivered, or `None`.
    pub time: Option<String>,
    /// The input that failed, or the indicator when the result did.
    pub input: Option<String>,
    /// The offending value as JSON text; `None` is null.
    #[serde(serialize_with = "json_text")]
    pub value: Option<String>,
}

#[expect(clippy::ref_option, reason = "the signature that serde asks for")]
fn json_text<S: Serializer>(value: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    // A number beyond what JSON libraries hold is shown as text rather than lost.
    let parsed = value
        .as_deref()
        .map(|text| serde_json::from_str(text).unwrap_or_else(|_| serde_json::Value::from(text)));
    parsed.serialize(serializer)
}
