//! What a schema means once references and `allOf` are resolved, each part with
//! the place that says it.
//!
//! A [`Term`] is one schema or several that all have to hold; a [`Flat`] is what
//! a term comes to. Two documents of different versions of OpenAPI that mean the
//! same have the same flats.

mod absorb;
mod side;
mod types;

use std::collections::BTreeMap;

use crate::tree::{Id, Number};

pub(crate) use side::{Side, Steps};
pub(crate) use types::Types;

/// Schemas that all have to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Term(u32);

impl Term {
    pub(crate) fn number(self) -> u32 {
        self.0
    }
}

/// A schema where it stands: with what `$dynamicRef` means there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Scoped {
    pub(crate) node: Id,
    pub(crate) scope: u32,
}

/// A value and the place that says it.
#[derive(Debug, Clone)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) node: Id,
}

/// A limit of numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit<'a> {
    pub(crate) number: Number<'a>,
    pub(crate) exclusive: bool,
}

/// A limit of sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Size {
    MinLength,
    MaxLength,
    MinItems,
    MaxItems,
    MinProperties,
    MaxProperties,
    MinContains,
    MaxContains,
}

impl Size {
    pub(crate) const ALL: [Self; 8] = [
        Self::MinLength,
        Self::MaxLength,
        Self::MinItems,
        Self::MaxItems,
        Self::MinProperties,
        Self::MaxProperties,
        Self::MinContains,
        Self::MaxContains,
    ];

    pub(crate) fn keyword(self) -> &'static str {
        match self {
            Self::MinLength => "minLength",
            Self::MaxLength => "maxLength",
            Self::MinItems => "minItems",
            Self::MaxItems => "maxItems",
            Self::MinProperties => "minProperties",
            Self::MaxProperties => "maxProperties",
            Self::MinContains => "minContains",
            Self::MaxContains => "maxContains",
        }
    }

    pub(crate) fn is_least(self) -> bool {
        matches!(self, Self::MinLength | Self::MinItems | Self::MinProperties | Self::MinContains)
    }
}

/// One of `anyOf` or `oneOf`.
#[derive(Debug, Clone)]
pub(crate) struct Union {
    pub(crate) node: Id,
    pub(crate) variants: Vec<Term>,
    /// As they are written, before references are followed.
    pub(crate) written: Vec<Id>,
}

/// What a term comes to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flat<'a> {
    /// `false`: nothing is valid.
    pub(crate) never: bool,
    /// Without `null`; nothing said means every type.
    pub(crate) types: Option<At<Types>>,
    /// Whether `types` follows from other keywords only.
    pub(crate) inferred: bool,
    /// Whether `null` is valid, where something is said about it.
    pub(crate) null: Option<bool>,
    /// `enum` and `const`: values in canonical JSON, sorted; without `null`.
    pub(crate) allowed: Option<At<Vec<String>>>,
    /// `x-extensible-enum`: clients were told to expect more values.
    pub(crate) extensible: bool,
    pub(crate) format: Option<At<&'a str>>,
    pub(crate) encoding: Option<At<&'a str>>,
    pub(crate) media: Option<At<&'a str>>,
    pub(crate) patterns: Vec<At<&'a str>>,
    pub(crate) minimum: Option<At<Limit<'a>>>,
    pub(crate) maximum: Option<At<Limit<'a>>>,
    pub(crate) multiple: Option<At<Number<'a>>>,
    pub(crate) sizes: [Option<At<u64>>; 8],
    pub(crate) unique: Option<Id>,
    pub(crate) properties: BTreeMap<&'a str, Term>,
    /// Where each property is written, before references are followed.
    pub(crate) written: BTreeMap<&'a str, Id>,
    pub(crate) required: BTreeMap<&'a str, Id>,
    pub(crate) pattern_properties: BTreeMap<&'a str, Term>,
    /// `additionalProperties` and `unevaluatedProperties`.
    pub(crate) additional: Option<At<Rest>>,
    pub(crate) prefix: Vec<Term>,
    pub(crate) items: Option<At<Rest>>,
    pub(crate) unions: Vec<Union>,
    /// Keywords that are compared as a whole.
    pub(crate) conditions: Vec<(&'a str, Id)>,
    pub(crate) default: Option<Id>,
    pub(crate) discriminator: Option<Id>,
    pub(crate) read_only: bool,
    pub(crate) write_only: bool,
    pub(crate) deprecated: bool,
}

/// What holds for what is not named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// There is none.
    Closed,
    /// It has to be this.
    Is(Term),
}

impl Flat<'_> {
    pub(crate) fn size(&self, size: Size) -> Option<&At<u64>> {
        self.sizes[size as usize].as_ref()
    }

    /// Whether nothing is said but types, unions and annotations.
    pub(crate) fn is_bare(&self) -> bool {
        self.allowed.is_none() && self.is_bare_but_values()
    }

    /// Whether it says nothing but which values there are.
    pub(crate) fn is_values_only(&self) -> bool {
        self.allowed.is_some() && self.unions.is_empty() && self.is_bare_but_values()
    }

    fn is_bare_but_values(&self) -> bool {
        self.format.is_none()
            && self.encoding.is_none()
            && self.media.is_none()
            && self.patterns.is_empty()
            && self.minimum.is_none()
            && self.maximum.is_none()
            && self.multiple.is_none()
            && self.sizes.iter().all(Option::is_none)
            && self.unique.is_none()
            && self.properties.is_empty()
            && self.required.is_empty()
            && self.pattern_properties.is_empty()
            && self.additional.is_none()
            && self.prefix.is_empty()
            && self.items.is_none()
            && self.conditions.is_empty()
            && !self.never
    }

    /// Whether it says nothing but which types there are.
    pub(crate) fn is_types_only(&self) -> bool {
        self.is_bare() && self.unions.is_empty() && self.types.is_some()
    }

    /// Whether everything is valid.
    pub(crate) fn is_anything(&self) -> bool {
        self.is_bare() && self.unions.is_empty() && self.types.is_none()
    }
}
