//! MQTT: an embedded broker and a client; it knows nothing of payloads.
