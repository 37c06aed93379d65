//! HTTP around the endpoints: routes, parameters, bodies, authentication, CORS.

pub(crate) mod auth;
pub(crate) mod body;
pub(crate) mod conditions;
mod cors;
pub mod forward;
mod limits;
pub(crate) mod params;
pub(crate) mod reply;
pub mod route;
mod router;

pub use router::router;
