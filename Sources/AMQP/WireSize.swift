/// Sizes on the wire (AMQP 0-9-1 section 4.2), and the limits that keep a message encodable.
///
/// The library finds out that properties do not fit into a frame only after it has sent the frame before, which leaves
/// the connection unusable. So everything is measured first.
enum WireSize {
    static let maxShortString = 255
    static let maxFieldName = 128
    /// Frame header, frame end, and the content header's class, weight, body size and flags.
    static let headerOverhead = 8 + 14

    /// Why the publication cannot be put on the wire, or nil if it can.
    static func objection(to publication: Publication, frameMax: Int) -> String? {
        if publication.exchange.utf8.count > maxShortString { return "the exchange is longer than 255 bytes" }
        if publication.routingKey.utf8.count > maxShortString { return "the routing key is longer than 255 bytes" }
        if publication.body.count > Publication.maxBodyBytes {
            return "the body is larger than \(Publication.maxBodyBytes) bytes"
        }
        let properties = publication.properties
        var size = headerOverhead + 1 + 1 + 8
        for (name, text) in [
            ("content type", properties.contentType), ("content encoding", properties.contentEncoding),
            ("correlation id", properties.correlationID), ("reply-to", properties.replyTo),
            ("expiration", properties.expiration), ("message id", properties.messageID), ("type", properties.type),
            ("user id", properties.userID), ("app id", properties.appID),
        ] {
            guard let text else { continue }
            if text.utf8.count > maxShortString { return "the \(name) is longer than 255 bytes" }
            size += 1 + text.utf8.count
        }
        switch measure(properties.headers) {
        case .failure(let objection): return "headers: \(objection.reason)"
        case .success(let tableSize): size += tableSize
        }
        // The broker adds headers of its own (`x-death`, `x-delivery-count`) and never splits them: a message that had
        // filled the frame could be delivered to nobody, and would break every connection that asks for it.
        let limit = frameMax - frameMax / 8
        return size > limit
            ? "the headers take \(size) bytes, more than the \(limit) that a frame of \(frameMax) has for them" : nil
    }

    struct Objection: Error, Equatable {
        let reason: String
    }

    /// The bytes a table takes.
    static func measure(_ table: FieldTable) -> Result<Int, Objection> {
        var count = 0
        do throws(Objection) {
            return .success(try size(of: table, depth: 1, count: &count))
        } catch {
            return .failure(error)
        }
    }

    private static func size(of table: FieldTable, depth: Int, count: inout Int) throws(Objection) -> Int {
        var total = 4
        for (key, value) in table {
            let length = key.utf8.count
            guard (1...maxFieldName).contains(length) else {
                throw Objection(reason: "a name must be 1 to 128 bytes")
            }
            total += 1 + length
            total += try size(of: value, depth: depth, count: &count)
        }
        return total
    }

    private static func size(of value: FieldValue, depth: Int, count: inout Int) throws(Objection) -> Int {
        count += 1
        guard count <= FieldValue.maxCount else { throw Objection(reason: "more than \(FieldValue.maxCount) values") }
        switch value {
        case .void: return 1
        case .bool, .int8, .uint8: return 2
        case .int16, .uint16: return 3
        case .int32, .uint32, .float: return 5
        case .int64, .double, .timestamp: return 9
        case .decimal: return 6
        case .string(let text): return 5 + text.utf8.count
        case .bytes(let bytes): return 5 + bytes.count
        case .array, .table:
            guard depth < FieldValue.maxDepth else {
                throw Objection(reason: "nested more than \(FieldValue.maxDepth) deep")
            }
            if case .table(let table) = value { return 1 + (try size(of: table, depth: depth + 1, count: &count)) }
            var total = 5
            for element in value.array ?? [] { total += try size(of: element, depth: depth + 1, count: &count) }
            return total
        }
    }
}
