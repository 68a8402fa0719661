//! Plugins that are ready to use. They are made of what this crate offers to all: a plugin of your own can do the same.
//!
//! | | |
//! |---|---|
//! | [`Auth`], [`Credentials`] | who dials says who it is, before anything is routed |
//! | [`Heartbeat`] | silent peers are asked for a sign of life, dead ones are cut |

mod auth;
mod credentials;
mod heartbeat;

use std::{future::Future, pin::Pin};

pub use self::{
    auth::{Auth, AuthRequest},
    credentials::Credentials,
    heartbeat::Heartbeat,
};

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
