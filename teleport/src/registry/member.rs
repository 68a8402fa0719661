//! [`Member`]: one peer that offers a service.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    peer::Peer,
    route::{RouteInfo, RouteKind},
};

/// One peer that offers a service: where it is and what it has. Its address is its identity.
///
/// It is kept as JSON: `{"address":"10.0.0.7:9090","routes":[{"uri":"/math/add","kind":"pull"}],"weight":1,"metadata":{}}`.
/// Only the address must be there, and fields that are not known are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Member {
    /// Where others reach it, in a form that [`Peer::dial`] takes. It may differ from what it listens at, such as `0.0.0.0:9090`.
    pub address: String,
    /// Its routes, for those who look: a [`Pool`](super::Pool) calls any member, whatever its routes.
    #[serde(default)]
    pub routes: Vec<MemberRoute>,
    /// Its share of the calls, beside the others' weights. One of weight 0 is connected and gets none. Default: 1.
    #[serde(default = "one")]
    pub weight: u32,
    /// Whatever the application wants to say, such as a version or a zone.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

/// A route of a [`Member`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MemberRoute {
    /// The whole uri, e.g. `/group/home/test`.
    pub uri: String,
    /// Pull or push.
    #[serde(with = "kind")]
    pub kind: RouteKind,
}

impl Member {
    /// A member at this address, of weight 1.
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            routes: Vec::new(),
            weight: one(),
            metadata: BTreeMap::new(),
        }
    }

    /// With the routes of this peer.
    #[must_use]
    pub fn routes_of(mut self, peer: &Peer) -> Self {
        self.routes = peer.routes().iter().map(MemberRoute::from).collect();
        self
    }

    /// With this weight.
    #[must_use]
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// With one more entry of metadata.
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }
}

impl From<&RouteInfo> for MemberRoute {
    fn from(route: &RouteInfo) -> Self {
        Self {
            uri: route.uri.clone(),
            kind: route.kind,
        }
    }
}

fn one() -> u32 {
    1
}

/// How the kind of a route is written.
mod kind {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::RouteKind;

    pub(super) fn serialize<S: Serializer>(kind: &RouteKind, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(kind)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<RouteKind, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(input)?;
        match &*text {
            "pull" => Ok(RouteKind::Pull),
            "push" => Ok(RouteKind::Push),
            other => Err(D::Error::custom(format!(
                "the kind of a route is `pull` or `push`, not `{other}`"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_written_as_json_and_read_back() {
        let mut member = Member::new("10.0.0.7:9090").weight(3).metadata("zone", "a");
        member.routes.push(MemberRoute {
            uri: "/math/add".into(),
            kind: RouteKind::Pull,
        });
        let text = serde_json::to_string(&member).unwrap();
        assert_eq!(
            text,
            r#"{"address":"10.0.0.7:9090","routes":[{"uri":"/math/add","kind":"pull"}],"weight":3,"metadata":{"zone":"a"}}"#
        );
        assert_eq!(serde_json::from_str::<Member>(&text).unwrap(), member);
    }

    #[test]
    fn an_address_is_enough_and_unknown_fields_are_ignored() {
        let member: Member = serde_json::from_str(r#"{"address":"a:1","color":"red"}"#).unwrap();
        assert_eq!(member, Member::new("a:1"));
        assert!(serde_json::from_str::<Member>("{}").is_err());
    }

    #[test]
    fn an_unknown_kind_of_route_is_named() {
        let text = r#"{"address":"a:1","routes":[{"uri":"/x","kind":"stream"}]}"#;
        let error = serde_json::from_str::<Member>(text).unwrap_err();
        assert!(error.to_string().contains("not `stream`"), "{error}");
    }
}
