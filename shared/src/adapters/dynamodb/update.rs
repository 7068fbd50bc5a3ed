//! A change of one row, on conditions.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemOutput};
use aws_sdk_dynamodb::types::{AttributeValue, Update as UpdateRequest};

use crate::ports::StoreFault;

use super::rows::{self, Item, SCHEMA};
use super::unreachable;

/// What must be the case for a row to be changed.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    /// The attribute has this value.
    Is(&'static str, AttributeValue),
    /// The attribute has this value or an earlier one.
    IsAtMost(&'static str, AttributeValue),
    /// The attribute has a later value.
    IsAfter(&'static str, AttributeValue),
    /// There is no such attribute.
    IsMissing(&'static str),
    /// There is no such attribute, or it has this value or an earlier one.
    IsMissingOrAtMost(&'static str, AttributeValue),
}

impl Condition {
    /// There is no such row.
    pub(super) fn no_row() -> Self {
        Self::IsMissing("pk")
    }

    /// There is such a row, which this version can read.
    pub(super) fn row() -> Self {
        Self::IsAtMost("schema", rows::number(SCHEMA))
    }

    /// The attribute has this value, or there is none if that is what was read.
    pub(super) fn is_as_read(attribute: &'static str, value: Option<AttributeValue>) -> Self {
        match value {
            Some(value) => Self::Is(attribute, value),
            None => Self::IsMissing(attribute),
        }
    }
}

/// What is to be changed in a row, on conditions that are part of the same step.
///
/// Every name in it is a placeholder: DynamoDB reserves `status`, `schema` and five hundred other words.
pub(super) struct Update {
    key: Item,
    set: HashMap<&'static str, AttributeValue>,
    set_once: HashMap<&'static str, AttributeValue>,
    removed: BTreeSet<&'static str>,
    conditions: Vec<Condition>,
}

impl Update {
    /// An update of the row under these keys.
    pub(super) fn of(partition: String, sort_key: &str, conditions: impl Into<Vec<Condition>>) -> Self {
        Self {
            key: rows::key(partition, sort_key),
            set: HashMap::new(),
            set_once: HashMap::new(),
            removed: BTreeSet::new(),
            conditions: conditions.into(),
        }
    }

    /// Adds a condition.
    pub(super) fn demand(&mut self, condition: Condition) {
        self.conditions.push(condition);
    }

    /// Gives an attribute this value.
    pub(super) fn set(&mut self, attribute: &'static str, value: AttributeValue) {
        self.removed.remove(attribute);
        self.set.insert(attribute, value);
    }

    /// Gives an attribute this value, unless it has one.
    pub(super) fn set_once(&mut self, attribute: &'static str, value: AttributeValue) {
        self.set_once.insert(attribute, value);
    }

    /// Removes an attribute.
    pub(super) fn remove(&mut self, attribute: &'static str) {
        self.set.remove(attribute);
        self.removed.insert(attribute);
    }

    /// Gives an attribute this value, or removes it.
    pub(super) fn set_or_remove(&mut self, attribute: &'static str, value: Option<AttributeValue>) {
        match value {
            Some(value) => self.set(attribute, value),
            None => self.remove(attribute),
        }
    }

    /// Whether there is nothing to change.
    pub(super) fn is_empty(&self) -> bool {
        self.set.is_empty() && self.set_once.is_empty() && self.removed.is_empty()
    }

    fn into_expressions(self) -> Expressions {
        let mut names = HashMap::new();
        let mut values = HashMap::new();
        let mut name = |attribute: &'static str| {
            let placeholder = format!("#{attribute}");
            names.insert(placeholder.clone(), attribute.to_owned());
            placeholder
        };
        let mut assignments = Vec::new();
        for (attribute, value) in self.set {
            assignments.push(format!("{} = :{attribute}", name(attribute)));
            values.insert(format!(":{attribute}"), value);
        }
        for (attribute, value) in self.set_once {
            let name = name(attribute);
            assignments.push(format!("{name} = if_not_exists({name}, :{attribute})"));
            values.insert(format!(":{attribute}"), value);
        }
        let removals: Vec<String> = self.removed.into_iter().map(&mut name).collect();
        let update: Vec<String> = [("SET", assignments), ("REMOVE", removals)]
            .into_iter()
            .filter(|(_, terms)| !terms.is_empty())
            .map(|(clause, terms)| format!("{clause} {}", terms.join(", ")))
            .collect();

        let mut terms = Vec::new();
        for condition in self.conditions {
            match condition {
                Condition::Is(attribute, value) => {
                    terms.push(format!("{} = :seen_{attribute}", name(attribute)));
                    values.insert(format!(":seen_{attribute}"), value);
                }
                Condition::IsAtMost(attribute, value) => {
                    terms.push(format!("{} <= :seen_{attribute}", name(attribute)));
                    values.insert(format!(":seen_{attribute}"), value);
                }
                Condition::IsAfter(attribute, value) => {
                    terms.push(format!("{} > :seen_{attribute}", name(attribute)));
                    values.insert(format!(":seen_{attribute}"), value);
                }
                Condition::IsMissing(attribute) => terms.push(format!("attribute_not_exists({})", name(attribute))),
                Condition::IsMissingOrAtMost(attribute, value) => {
                    let name = name(attribute);
                    terms.push(format!("(attribute_not_exists({name}) OR {name} <= :seen_{attribute})"));
                    values.insert(format!(":seen_{attribute}"), value);
                }
            }
        }
        Expressions {
            key: self.key,
            update: update.join(" "),
            condition: (!terms.is_empty()).then(|| terms.join(" AND ")),
            names,
            values: Some(values).filter(|values| !values.is_empty()),
        }
    }

    /// The update as a part of a transaction.
    pub(super) fn build(self, table: &str) -> Result<UpdateRequest, StoreFault> {
        let expressions = self.into_expressions();
        UpdateRequest::builder()
            .table_name(table)
            .set_key(Some(expressions.key))
            .update_expression(expressions.update)
            .set_condition_expression(expressions.condition)
            .set_expression_attribute_names(Some(expressions.names))
            .set_expression_attribute_values(expressions.values)
            .build()
            .map_err(unreachable)
    }

    /// The update on its own.
    pub(super) async fn send(
        self,
        client: &Client,
        table: &str,
    ) -> Result<UpdateItemOutput, SdkError<UpdateItemError>> {
        let expressions = self.into_expressions();
        client
            .update_item()
            .table_name(table)
            .set_key(Some(expressions.key))
            .update_expression(expressions.update)
            .set_condition_expression(expressions.condition)
            .set_expression_attribute_names(Some(expressions.names))
            .set_expression_attribute_values(expressions.values)
            .send()
            .await
    }
}

struct Expressions {
    key: Item,
    update: String,
    condition: Option<String>,
    names: HashMap<String, String>,
    values: Option<Item>,
}
