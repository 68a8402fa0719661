//! A server that says who it is.

use teleport::{PullController, Router, pull_controller};

/// Answers `/named/name` with its name.
#[derive(Clone, Debug)]
pub struct Named(String);

#[pull_controller]
impl Named {
    /// Who it is.
    pub async fn name(&self) -> String {
        self.0.clone()
    }
}

impl Named {
    /// The route of a server with this name.
    pub fn routes(name: &str) -> Router {
        Self(name.to_owned()).into_router()
    }
}
