//! Serves the embedded store on the loopback interface until standard input ends: what the functions' figures are taken on.
//!
//! One line of JSON says where: `{"url": "http://127.0.0.1:PORT", "table": "NAME"}`.

use std::io::Write as _;

use anyhow::Result;
use hekate::adapters::embedded::{EmbeddedDynamoDb, TABLE};
use serde_json::json;
use tokio::io::AsyncReadExt as _;

#[tokio::main]
async fn main() -> Result<()> {
    let store = EmbeddedDynamoDb::start(None).await?;
    let line = json!({"url": format!("http://{}", store.address()), "table": TABLE});
    writeln!(std::io::stdout(), "{line}")?;
    // An error of the input is an end of it.
    let _ = tokio::io::stdin().read_to_end(&mut Vec::new()).await;
    Ok(())
}
