import NIOCore
import NIOPosix

/// A bare TCP connection, for what no well-behaved client sends.
struct RawConnection {
    private let outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    private var inbound: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
    private(set) var received = ""
    private(set) var isClosed = false

    /// Connects, and closes when the body ends.
    static func with<Result>(
        port: Int, _ body: (inout RawConnection) async throws -> Result
    ) async throws -> Result {
        let channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup).connect(
            host: "127.0.0.1", port: port
        ) { channel in
            channel.eventLoop.makeCompletedFuture {
                try NIOAsyncChannel<ByteBuffer, ByteBuffer>(
                    wrappingChannelSynchronously: channel,
                    configuration: .init(isOutboundHalfClosureEnabled: true))
            }
        }
        return try await channel.executeThenClose { inbound, outbound in
            var connection = RawConnection(outbound: outbound, inbound: inbound.makeAsyncIterator())
            return try await body(&connection)
        }
    }

    private init(
        outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>,
        inbound: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
    ) {
        self.outbound = outbound
        self.inbound = inbound
    }

    func send(_ text: String) async throws {
        try await outbound.write(ByteBuffer(string: text))
    }

    func send(_ bytes: [UInt8]) async throws {
        try await outbound.write(ByteBuffer(bytes: bytes))
    }

    /// Ends our half.
    func finish() { outbound.finish() }

    /// Reads until the text has come or the peer has closed.
    mutating func receive(until marker: String) async -> Bool {
        while !received.contains(marker) {
            guard await receiveMore() else { return false }
        }
        return true
    }

    /// Reads until the peer closes.
    mutating func receiveToEnd() async -> String {
        while await receiveMore() {}
        return received
    }

    private mutating func receiveMore() async -> Bool {
        // A reset is an end, too.
        guard let part = try? await inbound.next() else {
            isClosed = true
            return false
        }
        received += String(buffer: part)
        return true
    }
}
