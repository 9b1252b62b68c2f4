//! Scenarios and properties of the actors, driven without threads wherever a rule allows it.

mod harness;
mod membership_model;
mod membership_scenarios;
