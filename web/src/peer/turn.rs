//! Lets the page answer between two pieces of work.

use futures::{FutureExt, future::BoxFuture};
use js_sys::Promise;
use send_wrapper::SendWrapper;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use web_sys::MessageChannel;

/// Resolves in a task of its own, after those that wait. A message, not a timer: the timers of a hidden page wait for a second.
pub(super) fn pause() -> BoxFuture<'static, ()> {
    SendWrapper::new(turn()).boxed()
}

/// As [`pause`].
pub(crate) async fn turn() {
    // Without one the work goes on at once.
    let Ok(channel) = MessageChannel::new() else {
        return;
    };
    let told = Promise::new(&mut |resolve, _| {
        channel.port1().set_onmessage(Some(&resolve));
        if channel.port2().post_message(&JsValue::NULL).is_err() {
            let _ = resolve.call0(&JsValue::UNDEFINED);
        }
    });
    let _ = JsFuture::from(told).await;
    channel.port1().close();
}
