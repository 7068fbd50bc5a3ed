//! Secrets in AWS Secrets Manager.

use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use serde::Deserialize;
use thiserror::Error;
use tokio::time::timeout;

use crate::config::{Secret, SecretError};

/// How long a starting function waits for a secret. It may take ten seconds to start in all.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why there is no secret. Neither the messages nor their sources hold any of it.
#[derive(Debug, Error)]
pub enum SecretFault {
    /// The service did not answer in time.
    #[error("the secret was not read within {} s", PATIENCE.as_secs())]
    Late,
    /// The service could not be reached, or refused.
    #[error("the secret was not handed out")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The secret is binary.
    #[error("the secret is not text")]
    Binary,
    /// The secret is JSON, and not an object whose member `token` is a string.
    #[error("the secret is neither a token nor a JSON object with a member `token`")]
    Shape,
    /// The token cannot be used.
    #[error("the token in the secret {0}")]
    Token(SecretError),
}

/// The token in the secret of this name or ARN: the secret's text itself, or the member `token` of the JSON object that it is,
/// as the console makes them of keys and values.
///
/// It is read once. A token that is replaced is used by functions that start after that.
pub async fn token(client: &Client, name: &str) -> Result<Secret, SecretFault> {
    let request = client.get_secret_value().secret_id(name).send();
    let output = timeout(PATIENCE, request)
        .await
        .map_err(|_elapsed| SecretFault::Late)?
        .map_err(|source| SecretFault::Refused(Box::new(source)))?;
    token_in(output.secret_string().ok_or(SecretFault::Binary)?)
}

/// The token in the text of a secret.
fn token_in(text: &str) -> Result<Secret, SecretFault> {
    /// A secret of keys and values. The parser's error might quote the secret, and goes no further.
    #[derive(Deserialize)]
    struct Members {
        token: String,
    }
    if !text.trim_start().starts_with('{') {
        return Secret::new(text).map_err(SecretFault::Token);
    }
    match serde_json::from_str(text) {
        Ok(Members { token }) => Secret::new(&token).map_err(SecretFault::Token),
        Err(_quoting) => Err(SecretFault::Shape),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_secretsmanager::config::{BehaviorVersion, Credentials, Region};
    use serde_json::{Value, json};

    use super::*;
    use crate::adapters::conformance::wire::Wire;

    fn answering(status: u16, body: Value) -> (Client, Wire) {
        let wire = Wire::new(None, move |_call, _before| Some((status, body.clone())));
        let config = aws_sdk_secretsmanager::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("local"))
            .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
            .endpoint_url("http://127.0.0.1:1")
            .http_client(wire.clone())
            .build();
        (Client::from_conf(config), wire)
    }

    #[tokio::test]
    async fn a_secret_is_the_token_or_an_object_with_one() {
        for text in [
            "t0p-s3cret",
            "t0p-s3cret\n",
            r#"{"token":"t0p-s3cret"}"#,
            r#" { "user": "u", "token": "t0p-s3cret" }"#,
        ] {
            let (client, wire) = answering(200, json!({ "Name": "github", "SecretString": text }));
            assert_eq!(token(&client, "github").await.unwrap().expose(), "t0p-s3cret");
            let calls = wire.take_calls();
            assert_eq!(calls.len(), 1);
            assert_eq!(calls[0].operation, "GetSecretValue");
            assert_eq!(calls[0].input, json!({ "SecretId": "github" }));
        }
    }

    #[tokio::test]
    async fn what_is_no_token_is_refused_without_being_shown() {
        for text in [
            "",
            "t0p s3cret",
            "{s3cret",
            r#"{"token":7,"s3cret":"s3cret"}"#,
            r#"{"key":"s3cret"}"#,
            r#"{"token":"t0p s3cret"}"#,
        ] {
            let (client, _) = answering(200, json!({ "SecretString": text }));
            let fault = token(&client, "github").await.unwrap_err();
            assert!(matches!(fault, SecretFault::Shape | SecretFault::Token(_)), "{text}");
            assert!(!format!("{fault} {fault:?}").contains("s3cret"));
        }
        let (client, _) = answering(200, json!({ "SecretBinary": "czNjcmV0" }));
        assert!(matches!(token(&client, "github").await, Err(SecretFault::Binary)));
    }

    #[tokio::test]
    async fn a_secret_that_is_not_handed_out_is_a_fault() {
        let (client, _) = answering(400, json!({ "__type": "AccessDeniedException" }));
        assert!(matches!(token(&client, "github").await, Err(SecretFault::Refused(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_function_does_not_wait_for_long() {
        let began = tokio::time::Instant::now();
        let (client, _) = answering(500, json!({ "__type": "InternalServiceError" }));
        assert!(token(&client, "github").await.is_err());
        assert!(began.elapsed() <= PATIENCE);
    }
}
