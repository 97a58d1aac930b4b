//! The city, its boxes and the server, seen from outside.

#[cfg(test)]
mod boxes;
#[cfg(test)]
mod city;
#[cfg(test)]
mod helpers;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod whale;
