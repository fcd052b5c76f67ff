import HTTPTypes
import NIOCore
import NIOHTTPTypes

/// Closes a connection whose peer lets a `ConnectionDeadline` pass.
///
/// One timer at most is pending for a connection, and it is moved only when it fires: a busy connection sets deadlines
/// all the time and must not pay for a timer each time.
final class ConnectionDeadlineHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private var deadline: ConnectionDeadline
    private var timer: Scheduled<Void>?
    private var timerInstant = NIODeadline.distantFuture

    init(_ limits: ConnectionDeadline.Limits) {
        deadline = ConnectionDeadline(limits)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { connected(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        connected(context)
        context.fireChannelActive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        timer = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head:
            deadline.receivedHead(at: .now())
            arm(context)
        case .body:
            break
        case .end:
            deadline.receivedEnd()
        }
        context.fireChannelRead(data)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed, deadline.isReading {
            // The rest of the body will never come, and the decoder would wait for it until the deadline.
            context.close(promise: nil)
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        deadline.received(brokenAt: .now())
        arm(context)
        context.fireErrorCaught(error)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .head(let head) where head.status.kind == .informational:
            context.write(data, promise: promise)
        case .head:
            deadline.beganAnswer(at: .now())
            arm(context)
            context.write(data, promise: promise)
        case .body:
            context.write(data, promise: promise)
        case .end:
            let taken = promise ?? context.eventLoop.makePromise(of: Void.self)
            taken.futureResult.assumeIsolated().whenComplete { _ in
                self.deadline.finishedAnswer(at: .now())
                if context.channel.isActive { self.arm(context) }
            }
            context.write(data, promise: taken)
        }
    }

    private func connected(_ context: ChannelHandlerContext) {
        deadline.connected(at: .now())
        arm(context)
    }

    /// Sees to it that a timer fires no later than the deadline.
    private func arm(_ context: ChannelHandlerContext) {
        guard let instant = deadline.instant, timer == nil || instant < timerInstant else { return }
        timer?.cancel()
        timerInstant = instant
        timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: instant) {
            self.timer = nil
            guard let instant = self.deadline.instant else { return }
            if instant <= .now() {
                context.close(promise: nil)
            } else {
                self.arm(context)
            }
        }
    }
}

/// Instances live on their connection's event loop.
@available(*, unavailable)
extension ConnectionDeadlineHandler: Sendable {}
