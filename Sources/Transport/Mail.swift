package import FoundationEssentials

/// One message to one recipient.
///
/// One recipient per message, so that every address has a result of its own and nobody sees anybody else's address.
package struct Mail: Sendable {
    /// Why a mail cannot be built.
    package struct Invalid: Error, Sendable, CustomStringConvertible {
        /// The field and the rule it broke.
        package let reason: String
        package var description: String { "invalid mail: \(reason)" }
    }

    /// An iCalendar object that travels with the message, shown as an invitation and attached as a file.
    package struct CalendarPart: Sendable {
        /// The iTIP method (RFC 5546); it must equal the object's own `METHOD`.
        package enum Method: String, Sendable {
            case publish = "PUBLISH"
            case request = "REQUEST"
            case cancel = "CANCEL"
        }

        /// The iTIP method.
        package let method: Method
        /// The iCalendar object in UTF-8, lines ended by CRLF (RFC 5545).
        package let bytes: [UInt8]
        /// The attachment's name.
        package let fileName: String

        /// Makes a calendar part; a file name with other characters than letters, digits, `.`, `-` and `_` is refused.
        package init(method: Method, bytes: [UInt8], fileName: String = "invite.ics") throws(Invalid) {
            let isPlain = fileName.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"):
                    true
                default: false
                }
            }
            guard isPlain, (1...64).contains(fileName.utf8.count) else {
                throw Invalid(reason: "the calendar's file name must be 1 to 64 plain ASCII characters")
            }
            self.method = method
            self.bytes = bytes
            self.fileName = fileName
        }
    }

    /// The author, and the envelope sender to which bounces go.
    package let from: Mailbox
    /// The recipient.
    package let to: Mailbox
    /// Where answers should go, if not to `from`.
    package let replyTo: Mailbox?
    /// The subject, control characters replaced, at most 250 characters.
    package let subject: String
    /// The identifier without angle brackets; keep it over every retry, so that a duplicate can be recognised.
    package let messageID: String
    /// The date in the header.
    package let date: Date
    /// The plain text.
    package let text: String
    /// The same as HTML, if any.
    package let html: String?
    /// An invitation or its cancellation, if any.
    package let calendar: CalendarPart?
    /// Further header fields, such as `Auto-Submitted: auto-generated`; values cleaned of control characters.
    package let headers: [HTTPHeaders.Field]

    /// Checks the parts and makes a mail.
    ///
    /// - Parameters:
    ///   - messageID: `left@right`, with or without angle brackets.
    ///   - headers: names must be tokens, and not those this type sets itself.
    /// - Throws: `Invalid` for a malformed message id or header name. A subject or header value is cleaned, not refused,
    ///   because it may quote what a customer typed.
    package init(
        from: Mailbox, to: Mailbox, replyTo: Mailbox? = nil, subject: String, messageID: String, date: Date,
        text: String,
        html: String? = nil, calendar: CalendarPart? = nil, headers: [(name: String, value: String)] = []
    ) throws(Invalid) {
        self.from = from
        self.to = to
        self.replyTo = replyTo
        self.subject = HeaderText.clean(subject, maxCharacters: 250)
        self.messageID = try Self.checkedMessageID(messageID)
        self.date = date
        self.text = text
        self.html = html
        self.calendar = calendar
        var fields: [HTTPHeaders.Field] = []
        for (name, value) in headers {
            try Self.checkName(name)
            fields.append(HTTPHeaders.Field(name: name, value: HeaderText.clean(value, maxCharacters: 900)))
        }
        self.headers = fields
    }

    private static func checkedMessageID(_ id: String) throws(Invalid) -> String {
        let bare = id.hasPrefix("<") && id.hasSuffix(">") ? String(id.dropFirst().dropLast()) : id
        let sides = bare.utf8.split(separator: UInt8(ascii: "@"), omittingEmptySubsequences: false)
        let isValid =
            sides.count == 2 && bare.utf8.count <= 240
            && sides.allSatisfy { side in
                !side.isEmpty && side.allSatisfy { Mailbox.isAtomText($0) || $0 == UInt8(ascii: ".") }
            }
        guard isValid else { throw Invalid(reason: "a message id must read left@right, at most 240 plain characters") }
        return bare
    }

    /// Fields that the message builder writes itself; a second one would contradict it.
    private static let reserved: Set<String> = [
        "from", "to", "cc", "bcc", "reply-to", "sender", "subject", "date", "message-id", "mime-version", "return-path",
        "received", "content-type", "content-transfer-encoding", "content-disposition", "content-id",
    ]

    private static func checkName(_ name: String) throws(Invalid) {
        let isToken =
            (1...64).contains(name.utf8.count) && name.utf8.allSatisfy { Mailbox.isAtomText($0) }
        guard isToken else { throw Invalid(reason: "a header name is not a token") }
        guard !reserved.contains(name.lowercased()) else {
            throw Invalid(reason: "the header \(name) is written by the message itself")
        }
    }
}
