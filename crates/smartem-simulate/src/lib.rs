//! The outside world, played by a program: a city of sensor boxes that answers like a real data collector.
//!
//! Demonstrations, tests and load measurements need stations that send data, with known truth behind it. This
//! crate has such worlds and servers that show them:
//!
//! - [`city::City`]: a simulated city around Nijmegen. For each station and moment there is a physically sensible
//!   [`Truth`](city::Truth) (weather, gases, particles, noise), and a Josene box ([`josene`]) that reports it in
//!   its own raw integers, with offsets, drift, noise, gaps and glitches. Everything is a pure function of seed,
//!   station and time: any hour can be made alone, in any order, and has the same bytes each time.
//! - [`recorded::Recorded`]: a folder of recorded answers, served byte for byte, broken ones included.
//! - [`sensor_community::router`]: the API and archive of Sensor.Community over a few kits.
//! - [`irregular::Irregular`]: the same world with stations that report late and in pieces.
//! - [`faults`]: a bad line in front of any server.
//! - [`opensensemap`], [`sensorthings`], [`timeseries`]: the APIs of openSenseMap, of OGC SensorThings and of
//!   52North's Timeseries over [`instruments`], a small network of stations.
//! - [`whale::router`]: the Raw Sensor ("Whale") API v1.1 below `/sensors/v1` over either [`whale::World`].
//! - [`influxd::Influxd`], [`mosquitto::Mosquitto`], [`postgres::Postgres`]: not played but real, an InfluxDB,
//!   an MQTT broker and a PostgreSQL that tests start and stop.
//!
//! ```
//! use smartem_simulate::city::{City, CityConfig};
//!
//! let since = "2026-11-15T00:00:00Z".parse()?;
//! let city = City::new(CityConfig { stations: 3, ..CityConfig::starting(since) })?;
//! let station = &city.stations()[0];
//! let truth = city.truth(station, "2026-11-15T07:30:00Z".parse()?);
//! assert!(truth.no2 > 0.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What it does not do: it reads no clock (time is given by a [`whale::Clock`]), listens on no port itself, knows nothing
//! of the rest of the platform, and does not check the bearer token that the real collector asks for. The last
//! digits of results depend on the floating point library, so identical bytes are promised for one build, not
//! across processor families.

mod calendar;
mod chance;
pub mod city;
pub mod faults;
pub mod influxd;
pub mod instruments;
pub mod irregular;
pub mod josene;
pub mod mosquitto;
pub mod opensensemap;
pub mod postgres;
pub mod recorded;
pub mod sensor_community;
pub mod sensorthings;
pub mod timeseries;
pub mod whale;
