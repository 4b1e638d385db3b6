//! Hostile calls: every function of the contract, called wrongly, from one thread and from several.

mod files;
mod fixture;
mod handles;
mod null;
mod numbers;
mod structs;
mod volumes;
