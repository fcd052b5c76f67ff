import AMQP
import Foundation
import HTTPTypes
import Messaging
import NIOCore
import NIOHTTPTypes
import Traces

/// Answers webhooks on the event loop of their connection, without a task for each.
///
/// Webhooks are almost all that comes, and they need no more than a check, a publish and its confirm. Streams of parts and
/// tasks that are resumed for each step cost more than that work; here a request is some calls on one thread, and one wake-up
/// when the confirm is there. Everything else, odd webhooks included (no length, too long, `Expect`, `Connection`), goes on
/// to the task that serves the connection. So does, in a task of its own, a webhook that the broker does not take.
final class WebhookLane: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    /// What all lanes of a server share.
    struct Work: Sendable {
        let webhook: CalendlyWebhook
        let responder: Responder
        let publish: @Sendable (OutgoingMessage, @escaping @Sendable (PublishFailure?) -> Void) -> Void
        let route: Int?
        let maxBodyBytes: Int

        init(
            webhook: CalendlyWebhook, responder: Responder,
            publish: @escaping @Sendable (OutgoingMessage, @escaping @Sendable (PublishFailure?) -> Void) -> Void
        ) {
            self.webhook = webhook
            self.responder = responder
            self.publish = publish
            if case .found(let index, _) = responder.table.match(.post, CalendlyWebhook.path[...]) {
                route = index
                maxBodyBytes = responder.table.routes[index].maxBodyBytes
            } else {
                (route, maxBodyBytes) = (nil, 0)
            }
        }
    }

    /// What waits until the lane's answer is written.
    private enum Held {
        case part(HTTPRequestPart)
        case event(Any)
        case error(any Error)
    }

    private let work: Work
    private var state = WebhookLaneState()
    private var request: IngressRequest?
    private var span: Span?
    private var start = ContinuousClock.now
    private var held: [Held] = []
    private var isReadHeld = false
    private var context: ChannelHandlerContext?

    init(_ work: Work) {
        self.work = work
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        held = []
    }

    // MARK: Coming in

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        take(unwrapInboundIn(data), context)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // The end of the peer's side, or of the server, must not close the connection before the answer is out.
        if state.isBusy { held.append(.event(event)) } else { context.fireUserInboundEventTriggered(event) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if state.isBusy { held.append(.error(error)) } else { context.fireErrorCaught(error) }
    }

    func read(context: ChannelHandlerContext) {
        // Whoever sends more before the answer waits, so that what is held stays small.
        if held.isEmpty { context.read() } else { isReadHeld = true }
    }

    private func take(_ part: HTTPRequestPart, _ context: ChannelHandlerContext) {
        let action =
            switch part {
            case .head(let head): state.received(.head(isOurs: isOurs(head)))
            case .body: state.received(.body)
            case .end: state.received(.end)
            }
        switch action {
        case .pass: context.fireChannelRead(wrapInboundOut(part))
        case .hold: held.append(.part(part))
        case .keep: keep(part)
        case .answer: answer(context)
        }
    }

    private func isOurs(_ head: HTTPRequest) -> Bool {
        guard head.method == .post, head.path == CalendlyWebhook.path,
            let length = head.headerFields[.contentLength].flatMap({ Int($0) })
        else { return false }
        return length <= work.maxBodyBytes && head.headerFields[.expect] == nil
            && head.headerFields[.connection] == nil
    }

    private func keep(_ part: HTTPRequestPart) {
        switch part {
        case .head(let head):
            start = .now
            let caller = TraceContext(traceParent: head.headerFields[.traceParent])
            span = work.responder.span(of: head.method, work.route, under: caller)
            request = IngressRequest(
                method: head.method, path: CalendlyWebhook.path[...], query: nil, headers: head.headerFields, body: [],
                pathParameter: "",
                requestID: RequestID.accept(head.headerFields[.requestID]) ?? RequestID.make(),
                receivedAt: work.responder.now(), trace: span?.context ?? caller ?? .root(isSampled: false))
        case .body(let bytes):
            // The decoder holds the peer to the announced length.
            request?.body.append(contentsOf: bytes.readableBytesView)
        case .end:
            break
        }
    }

    // MARK: Answering

    private func answer(_ context: ChannelHandlerContext) {
        guard let request = request.take() else { return }
        let message: OutgoingMessage
        do {
            message = try work.webhook.message(from: request)
        } catch {
            return write(work.responder.answer(to: request, failedWith: error), to: request)
        }
        let work = work
        let lane = NIOLoopBound(self, eventLoop: context.eventLoop)
        let eventLoop = context.eventLoop
        let publishing = work.webhook.intake.begin(message)
        work.publish(publishing.message) { failure in
            guard let failure else {
                publishing.span.end()
                return eventLoop.execute {
                    // Here and not on the publisher's thread, which must not wait for a disk.
                    work.webhook.intake.note(publishing.message)
                    lane.value.write(IngressResponse(status: .accepted), to: request)
                }
            }
            publishing.span.end(failure: "\(failure)")
            // A task of its own, because the spool has to be waited for and nobody here can.
            Task {
                let response: IngressResponse
                do {
                    try await work.webhook.intake.store(message, kind: .webhook, after: failure)
                    response = IngressResponse(status: .accepted)
                } catch {
                    response = work.responder.answer(to: request, failedWith: error)
                }
                eventLoop.execute { lane.value.write(response, to: request) }
            }
        }
    }

    private func write(_ answer: IngressResponse, to request: IngressRequest) {
        var response = answer
        work.responder.finish(&response, request, work.route, span.take(), since: start)
        guard let context else { return }
        let head = HTTPResponse(status: response.status, headerFields: response.headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if response.body.readableBytes > 0 {
            context.write(wrapOutboundOut(.body(response.body)), promise: nil)
        }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        state.answered()
        release(context)
    }

    /// Lets go of what had to wait, up to the next request that is ours.
    private func release(_ context: ChannelHandlerContext) {
        let waiting = held
        held = []
        for item in waiting {
            switch item {
            case .part(let part):
                take(part, context)
            case .event(let event):
                userInboundEventTriggered(context: context, event: event)
            case .error(let error):
                errorCaught(context: context, error: error)
            }
        }
        if !waiting.isEmpty { context.fireChannelReadComplete() }
        if isReadHeld, held.isEmpty {
            isReadHeld = false
            context.read()
        }
    }

    // MARK: Going out

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .end = unwrapOutboundIn(data) { state.wroteAnswer() }
        context.write(data, promise: promise)
    }
}

/// Instances live on their connection's event loop.
@available(*, unavailable)
extension WebhookLane: Sendable {}
