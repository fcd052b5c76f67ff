import Crypto

/// Identities that follow from content, so that the same thing said twice is known as the same.
package enum MessageID {
    /// A digest over the parts, each with its length so that no two different lists collide.
    ///
    /// - Returns: 32 bytes (SHA-256).
    package static func digest(_ parts: [String]) -> [UInt8] {
        var hash = SHA256()
        for part in parts {
            let bytes = Array(part.utf8)
            hash.update(data: Array("\(bytes.count):".utf8))
            hash.update(data: bytes)
        }
        return Array(hash.finalize())
    }

    /// The id of a message that is made from another one: the same parent always makes the same child.
    ///
    /// - Parameter parts: what tells siblings apart, such as the type and the subject.
    package static func derived(from parent: String, _ parts: String...) -> String {
        hex(digest([parent] + parts).prefix(16))
    }

    /// The id of an inbound message from what identifies it at its sender.
    package static func inbound(_ parts: String...) -> String {
        hex(digest(parts).prefix(16))
    }

    /// Lowercase hexadecimal.
    package static func hex(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        for byte in bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }
}
