//! What changed, as facts; the rules judge it.

use crate::tree::Id;

/// Who sends what a schema describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Flow {
    /// The client: what it may send must not become less.
    Request,
    /// The server: what a client may receive must not become more.
    Response,
}

impl Flow {
    /// The other one: callbacks and webhooks turn around.
    pub(crate) fn turned(self) -> Self {
        match self {
            Self::Request => Self::Response,
            Self::Response => Self::Request,
        }
    }
}

/// In which document the thing itself stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Standing {
    /// Only in the old one: it was removed, and `new` is what it stood in.
    Old,
    /// In the new one; `old` is the same thing, or what it was added to.
    New,
}

/// One change at one place.
#[derive(Debug, Clone)]
pub(crate) struct Delta {
    pub(crate) what: What,
    /// Nothing for what has no direction, such as an operation.
    pub(crate) flow: Option<Flow>,
    pub(crate) old: Id,
    pub(crate) new: Id,
    pub(crate) standing: Standing,
    /// The part of the graph of comparisons that found it.
    pub(crate) at: u32,
}

/// More, less, or other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Fewer values are valid.
    Narrower,
    /// More values are valid.
    Wider,
    /// Some values are no longer valid, and others are.
    Other,
}

/// What a change is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum What {
    OperationAdded,
    OperationRemoved { deprecated: bool, sunset: Option<String>, passed: bool },
    OperationDeprecated { sunset: Option<String> },
    OperationRevived,
    SunsetChanged { old: Option<String>, new: Option<String>, sooner: bool },
    StabilityChanged { old: String, new: String, lower: bool },
    OperationIdChanged { old: String, new: String },
    CallbackAdded { name: String },
    CallbackRemoved { name: String },
    LinkAdded { name: String },
    LinkRemoved { name: String },
    LinkChanged { name: String },

    ParameterAdded { required: bool },
    ParameterRemoved,
    ParameterRequired,
    ParameterOptional,
    ParameterSerialization { old: String, new: String },
    ParameterRenamed { old: String, new: String },
    ParameterDeprecated,

    BodyAdded { required: bool },
    BodyRemoved,
    BodyRequired,
    BodyOptional,
    MediaTypeAdded { name: String },
    MediaTypeRemoved { name: String },
    EncodingChanged { property: String },
    ResponseAdded,
    ResponseRemoved { success: bool },
    HeaderAdded { name: String },
    HeaderRemoved { name: String },
    HeaderRequired,
    HeaderOptional,

    SecurityAdded { alternative: String },
    SecurityRemoved { alternative: String },
    ScopeRequired { scheme: String, scopes: Vec<String> },
    ScopeReleased { scheme: String, scopes: Vec<String> },
    SchemeChanged { detail: String },
    SchemeFlowAdded { name: String },
    SchemeFlowRemoved { name: String },
    SchemeScopeAdded { name: String },
    SchemeScopeRemoved { name: String },
    ServerAdded { url: String },
    ServerRemoved { url: String },
    ServerVariable { detail: String, narrower: bool },

    Types { lost: String, gained: String },
    Null { gained: bool },
    Format { old: Option<String>, new: Option<String>, turn: Turn },
    ValuesAdded { values: Vec<String> },
    ValuesRemoved { values: Vec<String> },
    ValuesLimited { values: Vec<String> },
    ValuesUnlimited,
    Range { keyword: &'static str, old: Option<String>, new: Option<String>, turn: Turn },
    Length { keyword: &'static str, old: Option<u64>, new: Option<u64>, turn: Turn },
    Pattern { old: Option<String>, new: Option<String>, turn: Turn },
    Unique { gained: bool },
    PropertyAdded { required: bool },
    PropertyRemoved { now: Option<&'static str> },
    PropertyRequired { name: String },
    PropertyOptional { name: String },
    Closed { what: &'static str },
    Opened { what: &'static str },
    VariantsAdded { names: Vec<String> },
    VariantsRemoved { names: Vec<String> },
    UnionAppeared,
    UnionVanished,
    Condition { keyword: String, turn: Turn },
    Xml,
    DiscriminatorChanged { old: Option<String>, new: Option<String> },
    MappingAdded { value: String },
    MappingRemoved { value: String },
    MappingChanged { value: String },
    Default { old: Option<String>, new: Option<String> },
    SchemaDeprecated,
    SchemaRevived,
    Documentation { keyword: String },
}
