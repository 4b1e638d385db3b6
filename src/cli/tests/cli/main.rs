//! The command as a lab uses it: the real program with the real library on small simulated data.

mod bad_input;
mod everyday;
mod experiment;
mod interrupted;
mod lab;
mod lists;
mod relion;
mod report;
mod tomograms;
mod tutorial;
