/// A version of a Debian package, ordered as dpkg orders them (deb-version(7)).
struct DebianVersion {
    private let epoch: Int
    let upstream: String
    private let revision: String

    init(_ text: String) {
        var rest = Substring(text)
        if let colon = rest.firstIndex(of: ":") {
            epoch = Int(rest[..<colon]) ?? 0
            rest = rest[rest.index(after: colon)...]
        } else {
            epoch = 0
        }
        if let dash = rest.lastIndex(of: "-") {
            upstream = String(rest[..<dash])
            revision = String(rest[rest.index(after: dash)...])
        } else {
            upstream = String(rest)
            revision = ""
        }
    }

    func isOlder(than other: DebianVersion) -> Bool {
        if epoch != other.epoch { return epoch < other.epoch }
        let order = Self.compare(upstream, other.upstream)
        return (order == 0 ? Self.compare(revision, other.revision) : order) < 0
    }

    /// Compares the part before the first digit, then the number, then what follows in the same way.
    private static func compare(_ left: String, _ right: String) -> Int {
        var left = Array(left.utf8)[...]
        var right = Array(right.utf8)[...]
        while !left.isEmpty || !right.isEmpty {
            while left.first.map(isDigit) == false || right.first.map(isDigit) == false {
                let (first, second) = (weight(left.first), weight(right.first))
                if first != second { return first - second }
                left = left.dropFirst()
                right = right.dropFirst()
            }
            let (first, second) = (number(&left), number(&right))
            if first.count != second.count { return first.count - second.count }
            if let index = first.indices.first(where: { first[$0] != second[$0] }) {
                return Int(first[index]) - Int(second[index])
            }
        }
        return 0
    }

    /// A tilde before the end, the end before letters, letters before everything else.
    private static func weight(_ byte: UInt8?) -> Int {
        switch byte {
        case nil: 0
        case UInt8(ascii: "~")?: -1
        case let byte? where isDigit(byte): 0
        case let byte?
        where UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte || UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte:
            Int(byte)
        case let byte?: Int(byte) + 256
        }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte }

    /// Takes the digits at the front; answers them without leading zeros.
    private static func number(_ bytes: inout ArraySlice<UInt8>) -> [UInt8] {
        let digits = bytes.prefix(while: isDigit)
        bytes = bytes.dropFirst(digits.count)
        return Array(digits.drop { $0 == UInt8(ascii: "0") })
    }
}
