//! The process environment as a value: read here once, handed on as a map.
//!
//! This file must not know which variables mean something.

use std::collections::BTreeMap;
use std::fmt;

/// Environment variables by name.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, Option<String>>,
}

impl Environment {
    /// The variables of this process: the only place of the server that reads them.
    pub fn of_process() -> Self {
        // `vars_os`, because `vars` panics at the first variable that is not Unicode, whoever's it is.
        let variables =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()))).collect();
        Self { variables }
    }

    /// The value of a variable, if it is set and readable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name)?.as_deref()
    }

    /// Whether the variable is set, readable or not.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.variables.contains_key(name)
    }

    /// The variables whose names begin so, by name; a value that is not Unicode is `None`.
    pub(super) fn beginning_with<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        let matching = self.variables.iter().filter(move |(name, _)| name.starts_with(prefix));
        matching.map(|(name, value)| (name.as_str(), value.as_deref()))
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(pairs: [(&str, &str); N]) -> Self {
        pairs.into_iter().collect()
    }
}

impl<Name: Into<String>, Value: Into<String>> FromIterator<(Name, Value)> for Environment {
    fn from_iter<I: IntoIterator<Item = (Name, Value)>>(pairs: I) -> Self {
        Self { variables: pairs.into_iter().map(|(name, value)| (name.into(), Some(value.into()))).collect() }
    }
}

impl fmt::Debug for Environment {
    /// Only how many there are: values are often secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Environment({} variables)", self.variables.len())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Overrides, load};
    use super::*;

    #[test]
    fn the_environment_of_the_process_is_read() {
        assert!(Environment::of_process().get("PATH").is_some());
    }

    #[test]
    fn a_value_that_is_no_text_is_refused() {
        let environment = Environment { variables: BTreeMap::from([("ORDERMILL__LOG__LEVEL".to_owned(), None)]) };
        let error = load(&Overrides::default(), &environment).unwrap_err();
        assert_eq!(error.to_string(), "ORDERMILL__LOG__LEVEL: is not Unicode text");
    }
}
