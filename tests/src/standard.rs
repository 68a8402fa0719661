//! The routes that the recorded Go peer served: section 4 of the wire specification.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use teleport::{
    CallCtx, CodecId, Hooks, Plugin, PullController, PullCtx, PushController, PushCtx, Raw, Router,
    Status, UnknownPull, UnknownPush, pull_controller, push_controller,
};

/// The test message of the recordings.
#[derive(Clone, Copy, PartialEq, prost::Message, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct PbTest {
    #[prost(int32, tag = 1)]
    #[serde(default, skip_serializing_if = "is_zero")]
    pub a: i32,
    #[prost(int32, tag = 2)]
    #[serde(default, skip_serializing_if = "is_zero")]
    pub b: i32,
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(value: &i32) -> bool {
    *value == 0
}

type Object = BTreeMap<String, Value>;

fn custom() -> Status {
    Status::new(1001, "custom")
}

struct GroupHome;

#[pull_controller(name = "home")]
impl GroupHome {
    async fn test(&self, ctx: &PullCtx, args: Option<Object>) -> Result<Value, Status> {
        let push = json!({"a": 1, "your_id": ctx.query("peer_id").unwrap_or_default()});
        ctx.session()
            .push("/push/test?tag=from home-test", push)
            .await?;
        Ok(json!({"server_time": "2026-11-23T12:00:00Z", "your_args": args}))
    }
}

struct Calc;

#[pull_controller(group = "/math")]
impl Calc {
    async fn add(&self, args: [i64; 2]) -> i64 {
        args[0] + args[1]
    }

    async fn fail(&self, _args: Value) -> Result<(), Status> {
        Err(custom())
    }

    async fn fail_unicode(&self, _args: Value) -> Result<(), Status> {
        Err(Status::new(1001, "自定义错误: café 🦀 <&>"))
    }

    async fn fail_int(&self, _args: Value) -> Result<i64, Status> {
        Err(custom().with_details(&0))
    }

    async fn fail_map(&self, _args: Value) -> Result<Object, Status> {
        Err(custom().with_details(&None::<Object>))
    }

    async fn fail_body(&self, _args: Value) -> Result<String, Status> {
        Err(custom().with_details("body along with the error"))
    }

    async fn slow(&self, millis: u64) -> u64 {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        millis
    }

    async fn boom(&self, _args: Value) -> Value {
        panic!("boom")
    }
}

struct PbHome;

#[pull_controller(group = "/pb", name = "home")]
impl PbHome {
    async fn test(&self, args: PbTest) -> PbTest {
        PbTest {
            a: args.a.wrapping_add(args.b),
            b: args.a.wrapping_sub(args.b),
        }
    }

    async fn fail(&self, _args: PbTest) -> Result<PbTest, Status> {
        Err(custom().with_details(&None::<Object>))
    }
}

struct Echo;

#[pull_controller(group = "/str")]
impl Echo {
    async fn upper(&self, text: String) -> String {
        // As Go does it: letter by letter, so that ß stays.
        let upper = |char: char| {
            let mut upper = char.to_uppercase();
            if upper.len() == 1 {
                upper.next().unwrap_or(char)
            } else {
                char
            }
        };
        text.chars().map(upper).collect()
    }

    async fn fail(&self, text: String) -> Result<String, Status> {
        Err(custom().with_details(&format!("text of {text}")))
    }

    async fn bytes(&self, bytes: Raw) -> Raw {
        bytes
    }

    async fn any(&self, any: Value) -> Value {
        any
    }
}

struct Ret;

#[pull_controller(group = "/x")]
impl Ret {
    async fn nil(&self, _args: Value) {}

    async fn nil_map(&self, _args: Value) -> Option<Object> {
        None
    }

    async fn nil_with_codec(&self, ctx: &PullCtx, _args: Value) {
        ctx.set_reply_codec(CodecId::JSON);
    }

    async fn as_string(&self, ctx: &PullCtx, _args: Value) -> String {
        ctx.set_reply_codec(CodecId::STRING);
        "switched to the string codec".to_owned()
    }

    async fn any_map(&self, _args: Value) -> Value {
        json!({"k": "v"})
    }

    async fn map_for_pb(&self, args: PbTest) -> Value {
        json!({"a": args.a})
    }

    async fn url(&self, ctx: &PullCtx, _args: Value) -> Value {
        let mut query: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in ctx.query_pairs() {
            query
                .entry(name.into_owned())
                .or_default()
                .push(value.into_owned());
        }
        json!({"path": ctx.path(), "query": query, "raw_query": ctx.raw_query(), "uri": ctx.uri()})
    }

    async fn call_back(&self, ctx: &PullCtx, args: [i64; 2]) -> Result<i64, Status> {
        Ok(ctx.session().pull("/client/calc/mul", args).await?)
    }

    async fn call_back_missing(&self, ctx: &PullCtx, _args: Value) -> Value {
        let result = ctx.session().pull::<_, Value>("/client/no/such", 1).await;
        let error = result.expect_err("the client has no such route");
        let text = error.status().map(Status::message).unwrap_or_default();
        json!(format!("{} {text}", error.code()))
    }

    async fn close_me(&self, ctx: &PullCtx, _args: Value) -> String {
        ctx.session().start_closing();
        tokio::time::sleep(Duration::from_millis(100)).await;
        "last words".to_owned()
    }
}

struct Msg;

#[push_controller(group = "/log")]
impl Msg {
    async fn write(&self, _args: Value) {}

    async fn notify_back(&self, ctx: &PushCtx, args: Value) -> Result<(), Status> {
        let push = json!({"got": args});
        Ok(ctx.session().push("/push/test?tag=notify", push).await?)
    }

    async fn boom(&self, _args: Value) {
        panic!("boom")
    }
}

/// The server's routes.
pub fn server() -> Router {
    Router::new()
        .nest("/group", GroupHome.into_router())
        .merge(Calc.into_router())
        .merge(PbHome.into_router())
        .merge(Echo.into_router())
        .merge(Ret.into_router())
        .merge(Msg.into_router())
}

/// What the recorded unknown-pull handler did.
///
/// # Errors
/// Status 1 if the body is no JSON.
pub async fn unknown_pull(pull: UnknownPull) -> Result<Value, Status> {
    let args: Value = pull
        .bind()
        .map_err(|status| Status::new(1, status.message().to_owned()))?;
    if pull.body().len() < 2 {
        return Err(Status::new(1, "unexpected end of JSON input"));
    }
    Ok(json!({"args": args, "codec": "json", "raw_len": 0, "unknown": pull.path()}))
}

/// What the recorded unknown-pull handler of the simple sample did.
///
/// # Errors
/// None.
pub async fn unknown_pull_of_sample(_: UnknownPull) -> Result<[&'static str; 3], Status> {
    Ok(["a", "aa", "aaa"])
}

/// What the recorded unknown-push handler did.
///
/// # Errors
/// If it cannot push back.
pub async fn unknown_push(push: UnknownPush) -> Result<(), Status> {
    let args: Value = push.bind()?;
    let seen = json!({"args": args, "codec": "json", "err": "", "unknown": push.path()});
    Ok(push.session().push("/push/unknown_seen", seen).await?)
}

struct ClientCalc;

#[pull_controller(group = "/client", name = "calc")]
impl ClientCalc {
    async fn mul(&self, args: [i64; 2]) -> i64 {
        args[0] * args[1]
    }
}

struct Push;

#[push_controller]
impl Push {
    async fn test(&self, _args: Value) {}

    async fn unknown_seen(&self, _args: Value) {}
}

/// The client's routes.
pub fn client() -> Router {
    ClientCalc.into_router().merge(Push.into_router())
}

/// The recorded plugin: refuses at the stage that the query names.
#[derive(Debug)]
pub struct Rejecting;

fn reject(uri: &str, stage: &str, code: i32) -> Result<(), Status> {
    // The text, not the parsed query: this plugin runs before the uri is checked.
    if uri.ends_with(&format!("reject={stage}")) {
        Err(Status::new(code, format!("rejected at {stage}")))
    } else {
        Ok(())
    }
}

impl Plugin for Rejecting {
    fn name(&self) -> &str {
        "rejecting"
    }

    fn hooks(&self) -> Hooks {
        Hooks::ALL
    }

    async fn post_read_pull_header(&self, ctx: &mut PullCtx) -> Result<(), Status> {
        reject(ctx.uri(), "post_read_pull_header", 1401)
    }

    async fn pre_read_pull_body(&self, ctx: &PullCtx) -> Result<(), Status> {
        reject(ctx.uri(), "pre_read_pull_body", 1402)
    }

    async fn post_read_pull_body(&self, ctx: &PullCtx) -> Result<(), Status> {
        reject(ctx.uri(), "post_read_pull_body", 1403)
    }

    async fn pre_write_reply(&self, ctx: &PullCtx, _: Result<(), &Status>) -> Result<(), Status> {
        reject(ctx.uri(), "pre_write_reply", 1404)
    }

    async fn post_read_push_header(&self, ctx: &mut PushCtx) -> Result<(), Status> {
        reject(ctx.uri(), "post_read_push_header", 1401)
    }

    async fn pre_read_push_body(&self, ctx: &PushCtx) -> Result<(), Status> {
        reject(ctx.uri(), "pre_read_push_body", 1402)
    }

    async fn post_read_push_body(&self, ctx: &PushCtx) -> Result<(), Status> {
        reject(ctx.uri(), "post_read_push_body", 1403)
    }

    async fn pre_write_pull(&self, call: &mut CallCtx) -> Result<(), Status> {
        reject(call.uri(), "pre_write_pull", 1405)
    }

    async fn pre_write_push(&self, call: &mut CallCtx) -> Result<(), Status> {
        reject(call.uri(), "pre_write_push", 1406)
    }

    async fn post_read_reply_header(&self, call: &CallCtx) -> Result<(), Status> {
        reject(call.uri(), "post_read_reply_header", 1407)
    }

    async fn pre_read_reply_body(&self, call: &CallCtx) -> Result<(), Status> {
        reject(call.uri(), "pre_read_reply_body", 1408)
    }

    async fn post_read_reply_body(&self, call: &CallCtx) -> Result<(), Status> {
        reject(call.uri(), "post_read_reply_body", 1409)
    }

    async fn post_write_pull(&self, call: &CallCtx) -> Result<(), Status> {
        reject(call.uri(), "post_write_pull", 1410)
    }
}
