//! An answer's body on its way to the user.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::front::FrontState;
use crate::shared::Flight;
use crate::upstream::Link;

/// What the user gets.
pub(crate) enum ResponseBody {
    /// A text of the switch itself, or nothing.
    Own(Option<Bytes>),
    /// Streamed from an instance.
    Streamed(Streamed),
}

/// An answer being passed on. Dropping it before its end closes the
/// connection to the instance, which is how a user's hanging up gets there.
pub(crate) struct Streamed {
    body: Incoming,
    link: Option<Box<Link>>,
    /// `None` once the answer is complete.
    flight: Option<Flight>,
    front: Arc<FrontState>,
}

impl Streamed {
    pub(crate) fn new(
        body: Incoming,
        link: Option<Box<Link>>,
        flight: Flight,
        front: Arc<FrontState>,
    ) -> Self {
        let mut streamed = Self { body, link, flight: Some(flight), front };
        if streamed.body.is_end_stream() {
            streamed.finish();
        }
        streamed
    }

    /// The whole answer was read: the connection is free for the next request.
    fn finish(&mut self) {
        if let Some(flight) = self.flight.take() {
            if let Some(link) = self.link.take() {
                link.give_back(&flight.instance, self.front.worker);
            }
            drop(flight);
            self.front.rest();
        }
    }

    fn take_in(
        &mut self,
        frame: Option<Result<Frame<Bytes>, hyper::Error>>,
    ) -> Option<Result<Frame<Bytes>, hyper::Error>> {
        match &frame {
            Some(Ok(part)) => {
                if let (Some(data), Some(flight)) = (part.data_ref(), &self.flight) {
                    flight.instance.counters.bytes_out.fetch_add(data.len() as u64, Relaxed);
                }
                if self.body.is_end_stream() {
                    self.finish();
                }
            }
            Some(Err(_)) => {
                if let Some(flight) = self.flight.take() {
                    flight.instance.counters.aborted.fetch_add(1, Relaxed);
                    flight.instance.errors.fetch_add(1, Relaxed);
                }
                self.link = None;
            }
            None => self.finish(),
        }
        frame
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        if self.flight.take().is_some() {
            self.front.rest();
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let streamed = match self.get_mut() {
            Self::Own(data) => return Poll::Ready(data.take().map(|data| Ok(Frame::data(data)))),
            Self::Streamed(streamed) => streamed,
        };
        let Some(link) = &mut streamed.link else {
            return Pin::new(&mut streamed.body).poll_frame(cx).map(|frame| streamed.take_in(frame));
        };
        // Asking for the body first tells the connection that it is wanted;
        // only driving the connection can then fill it, so the body itself
        // need not wake anybody.
        let mut quiet = Context::from_waker(Waker::noop());
        let mut polled = Pin::new(&mut streamed.body).poll_frame(&mut quiet);
        if polled.is_pending() {
            link.drive(cx);
            polled = Pin::new(&mut streamed.body).poll_frame(&mut quiet);
        }
        polled.map(|frame| streamed.take_in(frame))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(data) => data.is_none(),
            Self::Streamed(streamed) => streamed.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(data) => SizeHint::with_exact(data.as_ref().map_or(0, |data| data.len() as u64)),
            Self::Streamed(streamed) => streamed.body.size_hint(),
        }
    }
}
