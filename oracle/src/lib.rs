//! The kernel as the judge: random rules loaded into a namespace, real packets sent through it, and
//! what became of them compared with what the simulator and the exact analysis say.
#![forbid(unsafe_code)]

pub mod chance;
pub mod compare;
pub mod draw;
pub mod judge;
pub mod rig;
pub mod run;
pub mod stage;
