import CCurl

extension SMTPError {
    /// Decides what a failed transfer means, by reply code and stage first and by libcurl's code last: libcurl uses the
    /// same codes for 4yz and 5yz replies.
    ///
    /// - Parameters:
    ///   - curlCode: libcurl's result, not 0.
    ///   - stage: the command that was being answered; `.message` says that the message was complete.
    ///   - replyCode: the last reply at that stage, 0 if there was none.
    ///   - enhancedCode: its enhanced status code, if any.
    package static func classify(
        curlCode: Int, stage: Stage, replyCode: Int, enhancedCode: EnhancedStatusCode? = nil
    ) -> Class {
        switch replyCode {
        // RFC 5321 section 4.2.1: 4yz may succeed later, whoever says it; 454 at STARTTLS and AUTH too. It never leads to
        // clear text, the transfer has failed.
        case 400...499: return .transient(code: replyCode)
        case 530, 534, 535, 538: return .configuration(code: replyCode)
        case 500...599: return classifyPermanent(stage: stage, replyCode: replyCode, enhancedCode: enhancedCode)
        default: break
        }
        // No refusal was read: it is about the network, TLS or our own side.
        if stage == .message { return .ambiguous }
        switch CURLcode(rawValue: UInt32(clamping: curlCode)) {
        case CURLE_PEER_FAILED_VERIFICATION, CURLE_USE_SSL_FAILED, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_CERTPROBLEM,
            CURLE_SSL_CIPHER, CURLE_SSL_CRL_BADFILE, CURLE_SSL_ISSUER_ERROR, CURLE_SSL_ENGINE_INITFAILED,
            CURLE_LOGIN_DENIED, CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL, CURLE_NOT_BUILT_IN,
            CURLE_UNKNOWN_OPTION, CURLE_BAD_FUNCTION_ARGUMENT:
            return .configuration(code: replyCode)
        default:
            return .transient(code: 0)
        }
    }

    private static func classifyPermanent(
        stage: Stage, replyCode: Int, enhancedCode: EnhancedStatusCode?
    ) -> Class {
        // Before MAIL nothing is known about the message, so no message can be at fault: giving up on it would give up on
        // every other one in turn.
        if stage < .mailFrom { return .configuration(code: replyCode) }
        // A refused sender is our own address or account, the same for every message; size (552, 5.3.4) and protocol errors
        // (500 to 504, 555) are the message's.
        if stage == .mailFrom, [550, 551, 553, 554].contains(replyCode), enhancedCode?.subject != 3 {
            return .configuration(code: replyCode)
        }
        // 552 with "too many recipients" (5.5.3) is to be read as 452 (RFC 5321 section 4.5.3.1.10).
        if replyCode == 552, enhancedCode == EnhancedStatusCode(5, 5, 3) { return .transient(code: replyCode) }
        return .permanent(code: replyCode)
    }
}
