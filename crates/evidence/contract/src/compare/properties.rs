//! The properties of objects.

use std::collections::BTreeSet;

use super::Engine;
use super::schemas::Two;
use crate::delta::{Flow, What};
use crate::error::Error;
use crate::schema::{At, Flat, Rest, Side, Term};

impl Engine<'_> {
    pub(super) fn properties(&mut self, two: &Two<'_, '_>) -> Result<(), Error> {
        let (old, new) = (two.old, two.new);
        for (name, &was) in &old.properties {
            match new.properties.get(name) {
                Some(&is) => self.property(two, name, was, is)?,
                None => self.property_removed(two, name, was)?,
            }
        }
        for (name, &is) in &new.properties {
            if !old.properties.contains_key(name) {
                self.property_added(two, name, is)?;
            }
        }
        self.undeclared(two);
        self.pattern_properties(two)?;
        self.rest(two, old.additional.as_ref(), new.additional.as_ref(), "properties")
    }

    fn property(&mut self, two: &Two<'_, '_>, name: &str, was: Term, is: Term) -> Result<(), Error> {
        let required = (two.old.required.contains_key(name), two.new.required.contains_key(name));
        if required.0 == required.1 && self.same_terms(was, is) {
            return Ok(());
        }
        let seen = (visible(&mut self.old, was, two.flow)?, visible(&mut self.new, is, two.flow)?);
        let places = (
            two.old.written.get(name).copied().unwrap_or(two.places.0),
            two.new.written.get(name).copied().unwrap_or(two.places.1),
        );
        match seen {
            (false, false) => Ok(()),
            (false, true) => {
                let what = What::PropertyAdded { required: required.1 };
                self.changed(two.at, what, Some(two.flow), two.places.0, places.1);
                Ok(())
            }
            (true, false) => {
                let now = Some(if two.flow == Flow::Request { "readOnly" } else { "writeOnly" });
                self.gone(two.at, What::PropertyRemoved { now }, Some(two.flow), places.0, places.1);
                Ok(())
            }
            (true, true) => {
                if required.0 != required.1 {
                    self.required(two, name, required.1);
                }
                self.visit_written(two.at, was, is, two.flow, places)
            }
        }
    }

    fn required(&mut self, two: &Two<'_, '_>, name: &str, now: bool) {
        let name_text = name.to_owned();
        let what = match now {
            true => What::PropertyRequired { name: name_text },
            false => What::PropertyOptional { name: name_text },
        };
        let old = two.old.required.get(name).copied().unwrap_or(two.places.0);
        let new = two.new.required.get(name).copied().unwrap_or(two.places.1);
        self.changed(two.at, what, Some(two.flow), old, new);
    }

    fn property_removed(&mut self, two: &Two<'_, '_>, name: &str, was: Term) -> Result<(), Error> {
        if !visible(&mut self.old, was, two.flow)? {
            return Ok(());
        }
        if let Some(covering) = covering(two.new) {
            if two.old.required.contains_key(name) && !two.new.required.contains_key(name) {
                self.required(two, name, false);
            }
            return self.visit_terms(two.at, was, covering, two.flow);
        }
        let place = two.old.written.get(name).copied().unwrap_or(two.places.0);
        self.gone(two.at, What::PropertyRemoved { now: None }, Some(two.flow), place, two.places.1);
        Ok(())
    }

    fn property_added(&mut self, two: &Two<'_, '_>, name: &str, is: Term) -> Result<(), Error> {
        if !visible(&mut self.new, is, two.flow)? {
            return Ok(());
        }
        let required = two.new.required.contains_key(name);
        if let Some(covering) = covering(two.old) {
            if required && !two.old.required.contains_key(name) {
                self.required(two, name, true);
            }
            return self.visit_terms(two.at, covering, is, two.flow);
        }
        let place = two.new.written.get(name).copied().unwrap_or(two.places.1);
        self.changed(two.at, What::PropertyAdded { required }, Some(two.flow), two.places.0, place);
        Ok(())
    }

    /// Names that are required and described nowhere.
    fn undeclared(&mut self, two: &Two<'_, '_>) {
        let names: BTreeSet<&str> = two.old.required.keys().chain(two.new.required.keys()).copied().collect();
        for name in names {
            let known = two.old.properties.contains_key(name) || two.new.properties.contains_key(name);
            let required = (two.old.required.contains_key(name), two.new.required.contains_key(name));
            if !known && required.0 != required.1 {
                self.required(two, name, required.1);
            }
        }
    }

    fn pattern_properties(&mut self, two: &Two<'_, '_>) -> Result<(), Error> {
        let (old, new) = (&two.old.pattern_properties, &two.new.pattern_properties);
        for (pattern, &was) in old {
            match new.get(pattern) {
                Some(&is) => self.visit_terms(two.at, was, is, two.flow)?,
                None => {
                    let place = self.old.place(was);
                    self.gone(two.at, What::Opened { what: "names" }, Some(two.flow), place, two.places.1);
                }
            }
        }
        for (pattern, &is) in new {
            if !old.contains_key(pattern) {
                let place = self.new.place(is);
                self.changed(two.at, What::Closed { what: "names" }, Some(two.flow), two.places.0, place);
            }
        }
        Ok(())
    }
}

/// What is said about a property that is not named.
fn covering(flat: &Flat<'_>) -> Option<Term> {
    match flat.additional {
        Some(At { value: Rest::Is(term), .. }) => Some(term),
        _ => None,
    }
}

/// Whether a property is sent in this direction.
fn visible(side: &mut Side<'_>, property: Term, flow: Flow) -> Result<bool, Error> {
    let flat = side.flat(property)?;
    Ok(!match flow {
        Flow::Request => flat.read_only,
        Flow::Response => flat.write_only,
    })
}
