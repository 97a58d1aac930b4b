//! The broker and the client against real clients and a real broker.

mod bytes_of_anybody;
mod delivery;
mod mosquitto_clients;
mod subscription;
mod support;
