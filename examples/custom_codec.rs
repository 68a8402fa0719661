//! A body codec of your own: here CSV-like lines for lists of numbers.
//!
//! `cargo run --example custom_codec`

use serde_json::Value;
use teleport::{
    CallOptions, CodecId, Error, Peer, PullController, Raw,
    codec::{Codec, CodecError, erased_serde},
    pull_controller,
};

/// `1,2,3`
struct Csv;

impl Csv {
    const ID: CodecId = CodecId::new(b'c').expect("not 0");
}

impl Codec for Csv {
    fn id(&self) -> CodecId {
        Self::ID
    }

    fn name(&self) -> &str {
        "csv"
    }

    fn encode(
        &self,
        value: &dyn erased_serde::Serialize,
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        let values = match serde_json::to_value(value).map_err(CodecError::encode)? {
            Value::Array(values) => values,
            single => vec![single],
        };
        let cells: Vec<_> = values.iter().map(Value::to_string).collect();
        out.extend_from_slice(cells.join(",").as_bytes());
        Ok(())
    }

    fn decode(
        &self,
        payload: &[u8],
        visit: &mut dyn FnMut(
            &mut dyn erased_serde::Deserializer<'_>,
        ) -> Result<(), erased_serde::Error>,
    ) -> Result<(), CodecError> {
        let text = std::str::from_utf8(payload).map_err(CodecError::decode)?;
        let cells: Result<Vec<Value>, _> = text.split(',').map(serde_json::from_str).collect();
        let list = Value::Array(cells.map_err(CodecError::decode)?);
        visit(&mut <dyn erased_serde::Deserializer<'_>>::erase(list)).map_err(CodecError::decode)
    }
}

struct Numbers;

#[pull_controller]
impl Numbers {
    /// Knows nothing of codecs.
    async fn sorted(&self, mut numbers: Vec<i64>) -> Vec<i64> {
        numbers.sort_unstable();
        numbers
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let server = Peer::builder()
        .codec(Csv)
        .listen_at("127.0.0.1:0")
        .routes(Numbers.into_router())
        .build()?;
    let address = server.listen().await?.address();
    let client = Peer::builder().codec(Csv).build()?;
    let session = client.dial(&address).await?;

    let numbers = NumbersClient::new(&session).options(CallOptions::new().codec(Csv::ID));
    println!("typed: {:?}", numbers.sorted(vec![3, 1, 2]).await?);
    let Raw(bytes) = session
        .pull("/numbers/sorted", Raw("c9,7,8".into()))
        .await?;
    println!("on the wire: {bytes:?}");
    Ok(())
}
