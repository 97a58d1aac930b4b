//! The city, its boxes and the server, seen from outside.

#[cfg(test)]
mod boxes;
#[cfg(test)]
mod city;
#[cfg(test)]
mod demo_models;
#[cfg(test)]
mod helpers;
#[cfg(test)]
mod postgres;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod whale;

// The same scores as those that the models were written with.
#[cfg(test)]
#[path = "../../examples/fit_demo_models/scores.rs"]
mod scores;
