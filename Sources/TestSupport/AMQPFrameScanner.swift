/// A method of AMQP 0-9-1 and who says it: a moment of the protocol.
package struct AMQPMethod: Sendable, Hashable {
    /// As the specification writes it, such as `basic.publish`.
    package let name: String
    package let isFromClient: Bool
    package let classID: Int
    package let methodID: Int

    private init(_ name: String, client: Int, _ methodID: Int) {
        self.init(name, true, client, methodID)
    }

    private init(_ name: String, server: Int, _ methodID: Int) {
        self.init(name, false, server, methodID)
    }

    private init(_ name: String, _ isFromClient: Bool, _ classID: Int, _ methodID: Int) {
        self.name = name
        self.isFromClient = isFromClient
        self.classID = classID
        self.methodID = methodID
    }

    /// What is said while a connection and its channel come up, in order (specification, section 1.2).
    package static let opening = [
        AMQPMethod("connection.start", server: 10, 10), AMQPMethod("connection.start-ok", client: 10, 11),
        AMQPMethod("connection.tune", server: 10, 30), AMQPMethod("connection.tune-ok", client: 10, 31),
        AMQPMethod("connection.open", client: 10, 40), AMQPMethod("connection.open-ok", server: 10, 41),
        AMQPMethod("channel.open", client: 20, 10), AMQPMethod("channel.open-ok", server: 20, 11),
    ]
    /// What a publisher's channel goes through.
    package static let publishing = [
        AMQPMethod("confirm.select", client: 85, 10), AMQPMethod("confirm.select-ok", server: 85, 11),
        AMQPMethod("basic.publish", client: 60, 40), AMQPMethod("basic.ack (confirm)", server: 60, 80),
    ]
    /// What a consumer's channel goes through.
    package static let consuming = [
        AMQPMethod("basic.qos", client: 60, 10), AMQPMethod("basic.qos-ok", server: 60, 11),
        AMQPMethod("basic.consume", client: 60, 20), AMQPMethod("basic.consume-ok", server: 60, 21),
        AMQPMethod("basic.deliver", server: 60, 60), AMQPMethod("basic.ack", client: 60, 80),
    ]
}

/// Finds the method frames in one direction of an AMQP connection, however the bytes are cut up.
package struct AMQPFrameScanner: Sendable {
    /// A method frame.
    package struct Found: Sendable, Equatable {
        package let classID: Int
        package let methodID: Int
        /// Where the frame begins, counted from the first of the bytes scanned; negative if it began before them.
        package let start: Int
    }

    /// The first bytes of the current frame: type, channel, size, and of a method its class and number.
    private var head: [UInt8] = []
    /// Bytes that say nothing to us: the protocol header, bodies, the end octet.
    private var skip: Int

    /// - Parameter isFromClient: a client begins with the eight bytes of the protocol header, which are no frame.
    package init(isFromClient: Bool) {
        skip = isFromClient ? 8 : 0
    }

    /// Takes the next bytes and gives the methods whose number became known in them.
    package mutating func scan(_ bytes: ArraySlice<UInt8>) -> [Found] {
        var found: [Found] = []
        var index = bytes.startIndex
        while index < bytes.endIndex {
            if skip > 0 {
                let step = min(skip, bytes.endIndex - index)
                skip -= step
                index += step
                continue
            }
            head.append(bytes[index])
            index += 1
            guard head.count >= 7 else { continue }
            let size = head[3..<7].reduce(0) { $0 << 8 | Int($1) }
            // The end octet comes on top of the size.
            if head[0] != 1 {
                skip = size + 1
                head = []
            } else if head.count == 11 {
                skip = max(size + 1 - 4, 0)
                found.append(
                    Found(
                        classID: Int(head[7]) << 8 | Int(head[8]), methodID: Int(head[9]) << 8 | Int(head[10]),
                        start: index - bytes.startIndex - head.count))
                head = []
            }
        }
        return found
    }
}
