//! Bodies that do not arrive (HT-44). Without an end to the waiting, anybody could hold connections and memory with bodies
//! that come one byte a minute, before any key is looked at.

use std::{future::Future as _, io, pin::Pin, task::Poll, time::Duration};

use actix_web::{
    Error, HttpMessage as _,
    body::MessageBody,
    dev::{Payload, ServiceRequest, ServiceResponse},
    error::PayloadError,
    middleware::Next,
};
use futures_util::{Stream as _, stream};

/// A request's body must arrive within this, counted from its head.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Lets every body end with an error that [`is_late`] knows if it is not there in time.
pub(crate) async fn refuse_slow_bodies(
    mut request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let payload = request.take_payload();
    request.set_payload(if matches!(payload, Payload::None) { payload } else { timed(payload) });
    next.call(request).await
}

fn timed(mut payload: Payload) -> Payload {
    let mut deadline = Box::pin(tokio::time::sleep(BODY_TIMEOUT));
    let chunks = stream::poll_fn(move |context| match Pin::new(&mut payload).poll_next(context) {
        Poll::Pending if deadline.as_mut().poll(context).is_ready() => {
            Poll::Ready(Some(Err(PayloadError::Io(io::ErrorKind::TimedOut.into()))))
        }
        chunk => chunk,
    });
    Payload::Stream { payload: Box::pin(chunks) }
}

/// Whether a body could not be read because it took too long.
pub(crate) fn is_late(error: &PayloadError) -> bool {
    matches!(error, PayloadError::Io(error) if error.kind() == io::ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    use actix_web::{
        App,
        middleware::from_fn,
        test::{TestRequest, init_service, try_call_service},
        web::{self, Bytes},
    };
    use futures_util::StreamExt as _;

    use super::*;

    /// Sends a body of `chunks` bytes, one each `pause`; says how it was read and how long that took.
    async fn send(chunks: usize, pause: Duration) -> (Result<usize, String>, Duration) {
        let read = |body: Bytes| async move { body.len().to_string() };
        let app = App::new().wrap(from_fn(refuse_slow_bodies)).route("/", web::post().to(read));
        let app = init_service(app).await;
        let body = stream::iter(0..chunks).then(move |_| async move {
            tokio::time::sleep(pause).await;
            Ok(Bytes::from_static(b"x"))
        });
        let body: Pin<Box<dyn stream::Stream<Item = Result<Bytes, PayloadError>>>> = Box::pin(body);
        let body = Payload::Stream { payload: body };
        let (request, _) = TestRequest::post().to_request().replace_payload(body);
        let began = tokio::time::Instant::now();
        let response = try_call_service(&app, request).await;
        let outcome = match response {
            Ok(response) if response.response().error().is_none() => Ok(chunks),
            Ok(response) => {
                match response.response().error().and_then(|error| error.as_error::<PayloadError>()) {
                    Some(error) if is_late(error) => Err("late".to_owned()),
                    other => Err(format!("{other:?}")),
                }
            }
            Err(error) => Err(error.to_string()),
        };
        (outcome, began.elapsed())
    }

    #[actix_web::test]
    async fn ht_44_a_body_that_trickles_is_refused_when_its_time_is_over() {
        tokio::time::pause();
        let second = Duration::from_secs(1);
        assert_eq!(send(20, second).await.0, Ok(20));
        let (outcome, took) = send(1000, second).await;
        assert_eq!((outcome, took.as_secs()), (Err("late".to_owned()), 30));
        let (outcome, took) = send(1, second * 3600).await;
        assert_eq!((outcome, took.as_secs()), (Err("late".to_owned()), 30));
    }
}
