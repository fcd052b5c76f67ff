import CCurl

/// What came of one SMTP transfer.
struct SMTPOutcome: Sendable {
    /// The acceptance or the failure.
    let result: Result<SMTPReceipt, SMTPError>
    /// Whether a kept connection was found dead before the message was complete, so that a new one is worth a try.
    var mayBeRepeated = false
}

/// One message, or one check without a message, inside libcurl.
final class SMTPTransfer: Transfer {
    enum Work: Sendable {
        case message(Mail, [UInt8])
        case check
    }

    private let work: Work
    private let configuration: SMTPConfiguration
    private let cancellations: [CancellationFlag]
    private let checkpoint: (any SMTPCheckpoint)?
    private var sent = 0
    private var stage = SMTPError.Stage.connect
    /// Lines of the reply that is being read.
    private var lines: [String] = []
    /// The last complete reply at this stage.
    private var reply: SMTPReply?
    /// Whether the server introduced itself in this transfer; it does not on a kept connection.
    private var hasGreeting = false
    /// Whether AUTH was sent in this transfer.
    private var hasAuthenticated = false
    /// Set when libcurl says goodbye, within the transfer if it failed: what comes after is not about the message.
    private var isOver = false
    private weak var easy: EasyHandle?
    /// libcurl keeps a connection after any reply to the final dot, and after none in time. But a server need not have
    /// forgotten a transaction that it refused, and would answer 503 to the next MAIL; a late reply would be taken for the
    /// answer to it.
    private(set) var leavesConnectionsUsable = false

    /// The message's last line ending is held back until all before it has left, so that a connection lost earlier is known
    /// to have carried no complete message.
    private static let heldBack = 2
    private static let maxReplyLines = 32

    init(
        _ work: Work, _ configuration: SMTPConfiguration, _ cancellations: [CancellationFlag],
        checkpoint: (any SMTPCheckpoint)?
    ) {
        self.work = work
        self.configuration = configuration
        self.cancellations = cancellations
        self.checkpoint = checkpoint
    }

    // MARK: Options

    func configure(_ easy: EasyHandle) throws(EasyHandle.OptionError) {
        self.easy = easy
        try easy.set(CURLOPT_URL, configuration.transferURL)
        try easy.set(CURLOPT_PROTOCOLS_STR, configuration.security == .implicitTLS ? "smtps" : "smtp")
        // ALL, never TRY: TRY goes on in clear text when STARTTLS is not offered.
        let useTLS = configuration.security == .none ? CURLUSESSL_NONE : CURLUSESSL_ALL
        try easy.set(CURLOPT_USE_SSL, Int(useTLS.rawValue))
        if let caFile = configuration.caFile { try easy.set(CURLOPT_CAINFO, caFile) }
        if let user = configuration.user, let password = configuration.password {
            try easy.set(CURLOPT_USERNAME, user)
            try easy.set(CURLOPT_PASSWORD, password)
            // Without this the library picks the "strongest" on offer, NTLM and Kerberos included; inside TLS plain is enough.
            let mechanisms = configuration.mechanism.map { "AUTH=\($0)" } ?? "AUTH=PLAIN;AUTH=LOGIN"
            try easy.set(CURLOPT_LOGIN_OPTIONS, mechanisms)
            try easy.set(CURLOPT_SASL_IR, true)
        }
        try easy.set(CURLOPT_CONNECTTIMEOUT_MS, milliseconds: configuration.connectTimeout)
        try easy.set(CURLOPT_TIMEOUT_MS, milliseconds: configuration.timeout)
        let replySeconds = (configuration.replyTimeout.wholeMilliseconds + 999) / 1_000
        try easy.set(CURLOPT_SERVER_RESPONSE_TIMEOUT, replySeconds)
        switch work {
        case .message(let mail, let bytes):
            try easy.set(CURLOPT_MAIL_FROM, mail.from.address)
            try easy.set(CURLOPT_MAIL_RCPT, list: [mail.to.address])
            try easy.set(CURLOPT_UPLOAD, true)
            try easy.set(CURLOPT_INFILESIZE_LARGE, large: bytes.count)
        case .check:
            try easy.set(CURLOPT_CUSTOMREQUEST, "NOOP")
            try easy.set(CURLOPT_NOBODY, true)
        }
        try configureCallbacks(easy)
    }

    private func configureCallbacks(_ easy: EasyHandle) throws(EasyHandle.OptionError) {
        // Unretained: the loop keeps this object until the handle is out of libcurl.
        let context = Unmanaged.passUnretained(self).toOpaque()
        try easy.check(
            ccurl_set_read_function(
                easy.raw,
                { buffer, size, count, context in
                    guard let buffer, let context else { return 0 }
                    let transfer = Unmanaged<SMTPTransfer>.fromOpaque(context).takeUnretainedValue()
                    return transfer.read(into: UnsafeMutableRawBufferPointer(start: buffer, count: size * count))
                }, context))
        try easy.check(
            ccurl_set_header_function(
                easy.raw,
                { bytes, size, count, context in
                    guard let bytes, let context else { return 0 }
                    let line = UnsafeRawBufferPointer(start: bytes, count: size * count)
                    Unmanaged<SMTPTransfer>.fromOpaque(context).takeUnretainedValue().receive(line)
                    return line.count
                }, context))
        // Replies come as "body" too; without a function they would be printed.
        try easy.check(ccurl_set_write_function(easy.raw, { _, size, count, _ in size * count }, nil))
        try easy.check(
            ccurl_set_debug_function(
                easy.raw,
                { _, type, bytes, count, context in
                    guard type == CURLINFO_HEADER_OUT, let bytes, let context else { return 0 }
                    let command = UnsafeRawBufferPointer(start: bytes, count: count)
                    Unmanaged<SMTPTransfer>.fromOpaque(context).takeUnretainedValue().willAnswer(command)
                    return 0
                }, context))
        try easy.set(CURLOPT_VERBOSE, true)
        try easy.check(
            ccurl_set_progress_function(
                easy.raw,
                { context, _, _, _, _ in
                    guard let context else { return 1 }
                    let transfer = Unmanaged<SMTPTransfer>.fromOpaque(context).takeUnretainedValue()
                    guard transfer.cancellations.contains(where: { $0.isSet }) else { return 0 }
                    transfer.abandon()
                    return 1
                }, context))
        try easy.set(CURLOPT_NOPROGRESS, false)
    }

    // MARK: The dialogue

    private func read(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        guard case .message(let mail, let bytes) = work else { return 0 }
        let isEnding = bytes.count - sent <= Self.heldBack
        let end = isEnding ? bytes.count : bytes.count - Self.heldBack
        let count = min(buffer.count, end - sent)
        if sent + count == bytes.count, stage != .message {
            stage = .message
            reply = nil
            checkpoint?.willHandOver(messageID: mail.messageID)
        }
        buffer.copyBytes(from: bytes[sent..<(sent + count)])
        sent += count
        return count
    }

    /// Notes which command goes out. Only the verb is looked at: what follows AUTH is a secret.
    private func willAnswer(_ command: UnsafeRawBufferPointer) {
        if starts(command, with: "QUIT\r") {
            isOver = true
            easy?.sockets?.stopReading()
            return
        }
        let next: SMTPError.Stage? =
            if starts(command, with: "EHLO ") || starts(command, with: "HELO ") {
                .hello
            } else if starts(command, with: "STARTTLS\r") {
                .startTLS
            } else if starts(command, with: "AUTH ") {
                .authentication
            } else if starts(command, with: "MAIL FROM:") {
                .mailFrom
            } else if starts(command, with: "RCPT TO:") {
                .recipient
            } else if starts(command, with: "DATA\r") {
                .data
            } else {
                nil
            }
        guard let next, stage != .message else { return }
        if next == .authentication { hasAuthenticated = true }
        stage = next
        reply = nil
    }

    private func starts(_ bytes: UnsafeRawBufferPointer, with prefix: StaticString) -> Bool {
        bytes.count >= prefix.utf8CodeUnitCount
            && (0..<prefix.utf8CodeUnitCount).allSatisfy { bytes[$0] == prefix.utf8Start[$0] }
    }

    private func receive(_ bytes: UnsafeRawBufferPointer) {
        guard !isOver else { return }
        let text = bytes.prefix { $0 != UInt8(ascii: "\r") && $0 != UInt8(ascii: "\n") }.prefix(1_000)
        guard let line = SMTPReply.line(String(decoding: text, as: UTF8.self)) else { return }
        if lines.count < Self.maxReplyLines { lines.append(line.text) }
        guard line.isLast else { return }
        if stage == .connect {
            stage = .greeting
            hasGreeting = true
        }
        let complete = SMTPReply(code: line.code, text: lines.joined(separator: " "))
        lines.removeAll()
        reply = complete
        if stage == .message, (200...299).contains(complete.code), case .message(let mail, _) = work {
            checkpoint?.didAccept(messageID: mail.messageID, reply: complete.code)
        }
    }

    // MARK: The end

    /// libcurl 7.88 ends an upload that is taken away from it with the final dot, as if it were complete: the server would
    /// accept what has come so far. So the connection goes first.
    func abandon() {
        easy?.sockets?.cut()
    }

    func finish(_ easy: EasyHandle, _ end: TransferEnd) -> SMTPOutcome {
        let outcome = outcome(easy, end)
        if case .success = outcome.result { leavesConnectionsUsable = true }
        return outcome
    }

    private func outcome(_ easy: EasyHandle, _ end: TransferEnd) -> SMTPOutcome {
        // What the server said about the complete message stands, whatever happened to the connection after it.
        if stage == .message, let reply, (200...299).contains(reply.code) {
            return SMTPOutcome(result: .success(SMTPReceipt(reply: "\(reply.code) \(reply.text)", code: reply.code)))
        }
        switch end {
        case .finished(CURLE_OK) where hasSkippedAuthentication:
            return SMTPOutcome(
                result: .failure(
                    SMTPError(
                        class: .configuration(code: 0), stage: .authentication,
                        message: "there is a user, but the server offers no way to authenticate")))
        case .finished(CURLE_OK):
            return SMTPOutcome(
                result: .success(SMTPReceipt(reply: "\(reply?.code ?? 0) \(reply?.text ?? "")", code: reply?.code ?? 0))
            )
        case .finished(CURLE_ABORTED_BY_CALLBACK):
            return SMTPOutcome(result: .failure(stopped("the task was cancelled")))
        case .finished(let code):
            return SMTPOutcome(
                result: .failure(failure(code, easy)), mayBeRepeated: wasKeptConnectionDead(code, easy))
        case .refused(let code):
            return SMTPOutcome(
                result: .failure(SMTPError(class: .configuration(code: 0), stage: .connect, message: Curl.text(code))))
        case .cancelled:
            return SMTPOutcome(result: .failure(stopped("the task was cancelled")))
        case .closed:
            return SMTPOutcome(result: .failure(stopped("the client was closed")))
        }
    }

    /// Whether a check passed only because libcurl goes on without a word where a server does not offer AUTH.
    private var hasSkippedAuthentication: Bool {
        guard case .check = work else { return false }
        return configuration.user != nil && hasGreeting && !hasAuthenticated
    }

    /// Whether a kept connection (no greeting was read and none was opened) ended without an answer, or with the 421 that
    /// servers say on idle ones, before the message was complete.
    private func wasKeptConnectionDead(_ code: CURLcode, _ easy: EasyHandle) -> Bool {
        guard !hasGreeting, easy.long(CURLINFO_NUM_CONNECTS) == 0, stage != .message else { return false }
        guard ![CURLE_COULDNT_CONNECT, CURLE_COULDNT_RESOLVE_HOST, CURLE_OPERATION_TIMEDOUT].contains(code) else {
            return false
        }
        return reply == nil || reply?.code == 421 || stage == .data && reply?.code == 354
    }

    private func stopped(_ message: String) -> SMTPError {
        SMTPError(class: stage == .message ? .ambiguous : .cancelled, stage: stage, message: message)
    }

    private func failure(_ code: CURLcode, _ easy: EasyHandle) -> SMTPError {
        let kind = SMTPError.classify(
            curlCode: Int(code.rawValue), stage: stage, replyCode: reply?.code ?? 0, enhancedCode: reply?.enhancedCode)
        return SMTPError(
            class: kind, stage: stage, replyCode: reply?.code ?? 0, enhancedCode: reply?.enhancedCode,
            replyText: reply?.text ?? "", message: easy.explanation(of: code))
    }
}
