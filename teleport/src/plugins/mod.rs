//! Plugins that are ready to use. They are made of what this crate offers to all: a plugin of your own can do the same.
//!
//! | | |
//! |---|---|
//! | [`Auth`], [`Credentials`] | who dials says who it is, before anything is routed |

mod auth;
mod credentials;

use std::{future::Future, pin::Pin};

pub use self::{
    auth::{Auth, AuthRequest},
    credentials::Credentials,
};

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
