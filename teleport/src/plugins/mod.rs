//! Plugins that are ready to use. They are made of what this crate offers to all: a plugin of your own can do the same.
//!
//! | | |
//! |---|---|
//! | [`Auth`], [`Credentials`] | who dials says who it is, before anything is routed |
//! | [`Heartbeat`] | silent peers are asked for a sign of life, dead ones are cut |
//! | [`ConnectionLimit`] | how many connections are accepted |
//! | [`CallLimit`] | how many calls run at once, and how many come in what time (feature `limits`) |
//! | [`Statistics`] | calls by route and outcome, with bytes and time; sessions (feature `metrics`) |
//! | [`PrometheusPage`] | these for Prometheus (feature `prometheus`) |

mod auth;
#[cfg(feature = "limits")]
mod call_limit;
mod connection_limit;
mod credentials;
mod heartbeat;
#[cfg(feature = "prometheus")]
mod prometheus;
#[cfg(feature = "limits")]
mod rate;
#[cfg(feature = "metrics")]
pub mod statistics;

use std::{future::Future, pin::Pin};

#[cfg(feature = "prometheus")]
pub use self::prometheus::PrometheusPage;
#[cfg(feature = "metrics")]
pub use self::statistics::Statistics;
pub use self::{
    auth::{Auth, AuthRequest},
    connection_limit::ConnectionLimit,
    credentials::Credentials,
    heartbeat::Heartbeat,
};
#[cfg(feature = "limits")]
pub use self::{call_limit::CallLimit, rate::Rate};

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
