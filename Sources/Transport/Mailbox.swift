/// An e-mail address with an optional display name, safe to put into a header and an SMTP command.
package struct Mailbox: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible {
    /// Why an address was refused; it does not repeat the address.
    package struct InvalidAddress: Error, Sendable, CustomStringConvertible {
        /// The rule that was broken.
        package let reason: String
        package var description: String { "invalid e-mail address: \(reason)" }
    }

    /// The display name, control characters replaced, at most 128 characters; nil if there is none.
    package let name: String?
    /// The address as in RFC 5321 `Mailbox`: dot-atoms in ASCII, at most 254 octets, 64 before the at sign.
    package let address: String

    /// Checks the address and cleans the name.
    ///
    /// Quoted local parts, address literals other than IPv4 and non-ASCII addresses (SMTPUTF8) are refused: no business
    /// mail needs them, and each is a way to smuggle something past a filter.
    package init(name: String? = nil, address: String) throws(InvalidAddress) {
        try Self.check(Array(address.utf8))
        self.address = address
        let cleaned = name.map { HeaderText.clean($0, maxCharacters: 128) }
        self.name = cleaned?.isEmpty == true ? nil : cleaned
    }

    /// Personal data: for debuggers only.
    package var debugDescription: String { name.map { "\($0) <\(address)>" } ?? address }
    /// Says nothing about the person, so that it may be logged.
    package var description: String { "<mailbox>" }

    /// The part after the at sign, in lower case.
    package var domain: String {
        String(address[address.index(after: address.lastIndex(of: "@") ?? address.startIndex)...]).lowercased()
    }

    private static func check(_ bytes: [UInt8]) throws(InvalidAddress) {
        guard bytes.count <= 254 else { throw InvalidAddress(reason: "longer than 254 octets") }
        guard bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
            throw InvalidAddress(reason: "it holds a space, a control character or a non-ASCII letter")
        }
        guard let at = bytes.lastIndex(of: UInt8(ascii: "@")) else { throw InvalidAddress(reason: "no at sign") }
        let local = bytes[..<at]
        let domain = bytes[(at + 1)...]
        guard !local.isEmpty, local.count <= 64 else {
            throw InvalidAddress(reason: "the part before the at sign must have 1 to 64 octets")
        }
        // Doubled or trailing dots break RFC 5321 but some carriers handed such addresses out; the server decides.
        guard local.allSatisfy({ isAtomText($0) || $0 == UInt8(ascii: ".") }), local.first != UInt8(ascii: ".") else {
            throw InvalidAddress(reason: "the part before the at sign holds a character that needs quoting")
        }
        // Commands would read a leading hyphen as an option; no real mailbox starts with one.
        guard local.first != UInt8(ascii: "-") else { throw InvalidAddress(reason: "it starts with a hyphen") }
        try checkDomain(domain)
    }

    private static func checkDomain(_ domain: ArraySlice<UInt8>) throws(InvalidAddress) {
        if domain.first == UInt8(ascii: "["), domain.last == UInt8(ascii: "]") {
            let octets = domain.dropFirst().dropLast().split(
                separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
            let isAddress =
                octets.count == 4
                && octets.allSatisfy { octet in
                    octet.allSatisfy(isDigit) && (1...3).contains(octet.count)
                        && octet.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) } <= 255
                }
            guard isAddress else { throw InvalidAddress(reason: "the address literal is not IPv4") }
            return
        }
        let labels = domain.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        let hyphen = UInt8(ascii: "-")
        let isName = labels.allSatisfy { label in
            (1...63).contains(label.count) && label.first != hyphen && label.last != hyphen
                && label.allSatisfy { isLetter($0) || isDigit($0) || $0 == hyphen }
        }
        guard isName else { throw InvalidAddress(reason: "the part after the at sign is not a host name") }
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }

    /// `atext` of RFC 5322 section 3.2.3.
    static func isAtomText(_ byte: UInt8) -> Bool {
        isLetter(byte) || isDigit(byte) || "!#$%&'*+-/=?^_`{|}~".utf8.contains(byte)
    }
}
