//! MQTT: the broker that comes with the collector, or a subscription to another.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use smartem_collect::receive::mqtt::Topics;
use smartem_collect::receive::mqtt::sta::StaTopic;
use smartem_mqtt::{BrokerSettings, RemoteSettings, RemoteTls, SubscriptionSettings, TlsFiles};
use url::Url;

use super::ConfigError;

/// How messages come.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct MqttConfig {
    /// Whether messages are taken at all.
    pub enabled: bool,
    /// Where the broker listens without TLS; empty: not.
    pub listen: String,
    /// Where it listens with TLS; empty: not.
    pub listen_tls: String,
    pub tls_certificate_file: PathBuf,
    pub tls_key_file: PathBuf,
    /// Whether clients without credentials may subscribe to topics of SensorThings.
    pub open_reading: bool,
    /// Topics below it are taken.
    pub prefix: String,
    /// The station type of stations that are seen for the first time.
    pub station_type: String,
    pub project: Option<String>,
    /// Another broker to subscribe to, `mqtt://host:1883` or `mqtts://host:8883`; empty: the own one.
    pub broker: String,
    pub client_id: String,
    pub username: Option<String>,
    pub password_file: Option<PathBuf>,
    /// Certificates that the other broker is known by; empty: those of the system.
    pub ca_file: PathBuf,
}

impl Default for MqttConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: "127.0.0.1:1883".to_owned(),
            listen_tls: String::new(),
            tls_certificate_file: PathBuf::new(),
            tls_key_file: PathBuf::new(),
            open_reading: true,
            prefix: "smartem".to_owned(),
            station_type: "vanilla".to_owned(),
            project: None,
            broker: String::new(),
            client_id: "smartem".to_owned(),
            username: None,
            password_file: None,
            ca_file: PathBuf::new(),
        }
    }
}

impl MqttConfig {
    /// The settings of the own broker, keeping its sessions in `data_dir`.
    ///
    /// # Errors
    /// When an address or the files of TLS are missing.
    pub(crate) fn broker_settings(&self, data_dir: &Path) -> Result<BrokerSettings, ConfigError> {
        let filter = Topics::new(&self.prefix).filter();
        if filter.starts_with("sta/") || StaTopic::of(&filter).is_some() {
            return Err(ConfigError(format!(
                "`collect.mqtt.prefix` is `{}`, below which SensorThings has its topics; choose another, \
                 such as `smartem`",
                self.prefix
            )));
        }
        let listen = address("collect.mqtt.listen", &self.listen)?;
        let listen_tls = address("collect.mqtt.listen_tls", &self.listen_tls)?;
        let (certificate, key) = (&self.tls_certificate_file, &self.tls_key_file);
        let listen_tls = match listen_tls {
            None => None,
            Some(_) if certificate.as_os_str().is_empty() || key.as_os_str().is_empty() => {
                return Err(ConfigError(
                    "`collect.mqtt.listen_tls` needs `tls_certificate_file` and `tls_key_file`"
                        .to_owned(),
                ));
            }
            Some(address) => Some((
                address,
                TlsFiles {
                    certificate: certificate.clone(),
                    key: key.clone(),
                },
            )),
        };
        Ok(BrokerSettings {
            listen,
            listen_tls,
            session_file: Some(data_dir.join("mqtt-sessions")),
            ..BrokerSettings::default()
        })
    }

    /// The settings of a subscription to another broker.
    ///
    /// # Errors
    /// When its address cannot be understood.
    pub(crate) fn subscription_settings(&self) -> Result<SubscriptionSettings, ConfigError> {
        let (host, port, tls) = self.other_broker()?;
        Ok(SubscriptionSettings {
            tls,
            user: self.username.clone(),
            password_file: self.password_file.clone(),
            topics: vec![format!("{}/#", self.prefix.trim_matches('/'))],
            ..SubscriptionSettings::new(host, port, self.client_id.clone())
        })
    }

    /// How another broker is told of SensorThings: by a client of its own, since a session has one connection.
    ///
    /// # Errors
    /// When its address cannot be understood.
    pub(crate) fn remote_settings(&self) -> Result<RemoteSettings, ConfigError> {
        let (host, port, tls) = self.other_broker()?;
        Ok(RemoteSettings {
            tls,
            user: self.username.clone(),
            password_file: self.password_file.clone(),
            ..RemoteSettings::new(host, port, format!("{}-sta", self.client_id))
        })
    }

    /// Host, port and encryption of another broker.
    fn other_broker(&self) -> Result<(String, u16, RemoteTls), ConfigError> {
        let refused = |problem: &str| {
            ConfigError(format!(
                "`collect.mqtt.broker` is `{}`: {problem}; write `mqtt://host:1883` or \
                 `mqtts://host:8883`",
                self.broker
            ))
        };
        let url: Url = self
            .broker
            .parse()
            .map_err(|_| refused("it is no address"))?;
        let (tls, port) = match url.scheme() {
            "mqtt" => (RemoteTls::Off, 1883),
            "mqtts" if self.ca_file.as_os_str().is_empty() => (RemoteTls::System, 8883),
            "mqtts" => (RemoteTls::Roots(self.ca_file.clone()), 8883),
            _ => return Err(refused("the scheme is another")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused(
                "write the user to `username` and the password to `password_file`",
            ));
        }
        let host = url.host_str().ok_or_else(|| refused("it names no host"))?;
        Ok((host.to_owned(), url.port().unwrap_or(port), tls))
    }
}

fn address(setting: &str, text: &str) -> Result<Option<SocketAddr>, ConfigError> {
    if text.is_empty() {
        return Ok(None);
    }
    let address = text.parse();
    address.map(Some).map_err(|_| {
        ConfigError(format!(
            "`{setting}` is `{text}`; write an address and a port such as `0.0.0.0:1883`, or leave it \
             empty"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_broker_is_named_by_its_address() {
        let config = |broker: &str| MqttConfig {
            broker: broker.to_owned(),
            ..MqttConfig::default()
        };
        let plain = config("mqtt://broker.example")
            .subscription_settings()
            .unwrap();
        assert_eq!((plain.host.as_str(), plain.port), ("broker.example", 1883));
        let tls = config("mqtts://broker.example:9000")
            .subscription_settings()
            .unwrap();
        assert_eq!((tls.port, tls.tls), (9000, RemoteTls::System));
        for wrong in [
            "broker.example",
            "http://broker.example",
            "mqtt://user:secret@broker",
        ] {
            let problem = config(wrong)
                .subscription_settings()
                .unwrap_err()
                .to_string();
            assert!(problem.contains("mqtt://host:1883"), "{problem}");
        }
    }

    #[test]
    fn a_prefix_that_sensorthings_has_is_told() {
        for prefix in ["v1.1", "sta", "/sta/v1.0/mine/"] {
            let config = MqttConfig {
                prefix: prefix.to_owned(),
                ..MqttConfig::default()
            };
            let problem = config.broker_settings(Path::new(".")).unwrap_err();
            assert!(problem.to_string().contains("`smartem`"), "{problem}");
        }
    }

    #[test]
    fn an_address_that_is_none_is_told() {
        let config = MqttConfig {
            listen: "1883".to_owned(),
            ..MqttConfig::default()
        };
        let problem = config
            .broker_settings(Path::new("."))
            .unwrap_err()
            .to_string();
        assert!(problem.contains("`1883`"), "{problem}");
        let config = MqttConfig {
            listen_tls: "127.0.0.1:8883".to_owned(),
            ..MqttConfig::default()
        };
        let problem = config
            .broker_settings(Path::new("."))
            .unwrap_err()
            .to_string();
        assert!(problem.contains("tls_key_file"), "{problem}");
    }
}
