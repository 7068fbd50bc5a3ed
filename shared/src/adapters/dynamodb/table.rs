//! The table of local mode: as the template declares it for a deployment.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::client::Waiters as _;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType, TimeToLiveSpecification, TimeToLiveStatus,
};

use crate::ports::StoreFault;

use super::unreachable;

/// How long a new table may take to become usable.
const PATIENCE: Duration = Duration::from_mins(1);

/// Creates the table if it is not there, and waits until it can be used.
pub(super) async fn create(client: &Client, name: &str) -> Result<(), StoreFault> {
    let mut request = client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest);
    for attribute in ["pk", "sk", "due_shard", "due_at"] {
        let definition = AttributeDefinition::builder()
            .attribute_name(attribute)
            .attribute_type(ScalarAttributeType::S)
            .build()
            .map_err(unreachable)?;
        request = request.attribute_definitions(definition);
    }
    let due = GlobalSecondaryIndex::builder()
        .index_name("due")
        .key_schema(key("due_shard", KeyType::Hash)?)
        .key_schema(key("due_at", KeyType::Range)?)
        .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build())
        .build()
        .map_err(unreachable)?;
    let result = request
        .key_schema(key("pk", KeyType::Hash)?)
        .key_schema(key("sk", KeyType::Range)?)
        .global_secondary_indexes(due)
        .send()
        .await;
    match result {
        Ok(_output) => {}
        Err(SdkError::ServiceError(fault)) if fault.err().is_resource_in_use_exception() => {}
        Err(fault) => return Err(unreachable(fault)),
    }
    client
        .wait_until_table_exists()
        .table_name(name)
        .wait(PATIENCE)
        .await
        .map_err(unreachable)?;
    expire(client, name).await
}

fn key(attribute: &str, kind: KeyType) -> Result<KeySchemaElement, StoreFault> {
    KeySchemaElement::builder()
        .attribute_name(attribute)
        .key_type(kind)
        .build()
        .map_err(unreachable)
}

/// Turns on the expiry of leases and batches, where it is not on yet: asking for it twice is an error.
async fn expire(client: &Client, name: &str) -> Result<(), StoreFault> {
    let output = client
        .describe_time_to_live()
        .table_name(name)
        .send()
        .await
        .map_err(unreachable)?;
    let status = output
        .time_to_live_description
        .and_then(|description| description.time_to_live_status);
    if matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)) {
        return Ok(());
    }
    let specification = TimeToLiveSpecification::builder()
        .attribute_name("expires")
        .enabled(true)
        .build()
        .map_err(unreachable)?;
    client
        .update_time_to_live()
        .table_name(name)
        .time_to_live_specification(specification)
        .send()
        .await
        .map_err(unreachable)?;
    Ok(())
}
