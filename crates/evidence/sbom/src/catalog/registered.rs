//! Catalogers of different facts in one list.

use std::any::Any;

use super::{Cataloger, Content, Found, Report, Unread, Want};
use crate::view::View;

/// What a cataloger keeps of one file.
pub(crate) type Fact = Box<dyn Any + Send + Sync>;

/// A [`Cataloger`] whose kind of fact is hidden.
pub(crate) trait Registered: Send + Sync {
    fn name(&self) -> &'static str;
    fn wants(&self) -> &'static [Want];
    /// The fact and its weight.
    fn read(&self, path: &str, content: &mut Content<'_>) -> Result<Option<(Fact, usize)>, Unread>;
    fn catalog(&self, view: &View<'_>, found: &[Found<'_, Fact>], report: &mut Report);
}

/// Hides the kind of fact of a cataloger.
pub(crate) fn register(cataloger: impl Cataloger) -> Box<dyn Registered> {
    Box::new(Erased(cataloger))
}

struct Erased<C>(C);

impl<C: Cataloger> Registered for Erased<C> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn wants(&self) -> &'static [Want] {
        self.0.wants()
    }

    fn read(&self, path: &str, content: &mut Content<'_>) -> Result<Option<(Fact, usize)>, Unread> {
        let fact = self.0.read(path, content)?;
        Ok(fact.map(|fact| {
            let weight = self.0.weight(&fact);
            (Box::new(fact) as Fact, weight)
        }))
    }

    fn catalog(&self, view: &View<'_>, found: &[Found<'_, Fact>], report: &mut Report) {
        let own: Vec<Found<'_, C::Fact>> = found
            .iter()
            .map(|&Found { path, origin, fact }| Found {
                path,
                origin,
                fact: fact.downcast_ref().expect("facts are kept by the cataloger that read them"),
            })
            .collect();
        self.0.catalog(view, &own, report);
    }
}

impl<F> Clone for Found<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F> Copy for Found<'_, F> {}
