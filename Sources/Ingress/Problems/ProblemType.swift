package import Domain

/// Every kind of problem that the API answers with; each has a page under `/problems/`.
package enum ProblemType: String, CaseIterable, Sendable {
    case malformedRequest = "malformed-request"
    case validation
    case unauthenticated
    case invalidSignature = "invalid-signature"
    case forbidden
    case crossSiteRequest = "cross-site-request"
    case notFound = "not-found"
    case methodNotAllowed = "method-not-allowed"
    case payloadTooLarge = "payload-too-large"
    case unsupportedMediaType = "unsupported-media-type"
    case idempotencyKeyMissing = "idempotency-key-missing"
    case idempotencyKeyReused = "idempotency-key-reused"
    case scheduleConflict = "schedule-conflict"
    case illegalTransition = "illegal-transition"
    case versionMismatch = "version-mismatch"
    case preconditionRequired = "precondition-required"
    case rateLimited = "rate-limited"
    case overloaded
    case dependencyUnavailable = "dependency-unavailable"
    case internalError = "internal-error"

    package var status: Int {
        switch self {
        case .malformedRequest, .idempotencyKeyMissing: 400
        case .unauthenticated, .invalidSignature: 401
        case .forbidden, .crossSiteRequest: 403
        case .notFound: 404
        case .methodNotAllowed: 405
        case .scheduleConflict, .illegalTransition: 409
        case .versionMismatch: 412
        case .payloadTooLarge: 413
        case .unsupportedMediaType: 415
        case .validation, .idempotencyKeyReused: 422
        case .preconditionRequired: 428
        case .rateLimited: 429
        case .internalError: 500
        case .overloaded, .dependencyUnavailable: 503
        }
    }

    package var title: String {
        switch self {
        case .malformedRequest: "The request cannot be read"
        case .validation: "The request has invalid fields"
        case .unauthenticated: "Valid credentials are needed"
        case .invalidSignature: "The signature is missing or wrong"
        case .forbidden: "The caller's role does not allow this"
        case .crossSiteRequest: "The request may come from another site"
        case .notFound: "There is no such thing"
        case .methodNotAllowed: "The path does not take this method"
        case .payloadTooLarge: "The body is too large"
        case .unsupportedMediaType: "The body must be JSON"
        case .idempotencyKeyMissing: "The request needs an idempotency key"
        case .idempotencyKeyReused: "The idempotency key was used for another request"
        case .scheduleConflict: "The time is not free"
        case .illegalTransition: "The present state does not allow this"
        case .versionMismatch: "The thing has changed meanwhile"
        case .preconditionRequired: "The request must say which version it changes"
        case .rateLimited: "Too many attempts"
        case .overloaded: "Too much at once"
        case .dependencyUnavailable: "A service that is needed is away"
        case .internalError: "Something went wrong here"
        }
    }

    /// What the caller can do about it; the text of the problem's page.
    package var advice: String {
        switch self {
        case .malformedRequest:
            "The body is not JSON, or a header or query parameter does not parse. The detail and the list of errors name "
                + "the place. Do not send the same request again."
        case .validation:
            "Every invalid field is listed with a JSON pointer into the body. Correct them all and send the request again; "
                + "nothing was stored, so the same idempotency key may be used."
        case .unauthenticated:
            "Machines send `Authorization: Bearer neff_...` with a key that is known, not revoked and not expired; `neff keys "
                + "create` makes one. Browsers log in with `POST /v1/sessions` and send the session's cookie. A log-in that is "
                + "refused had the wrong e-mail address or password, or the user is disabled."
        case .invalidSignature:
            "The webhook's signature header is missing, malformed, or does not match the body under any signing key. Check "
                + "that subscription and ingress have the same signing key and that no proxy changes the body."
        case .forbidden:
            "The key or session is valid, but its role lacks the right that the detail names. Ask an administrator."
        case .crossSiteRequest:
            "A request with a session's cookie that changes something must come from this site's own pages and carry the "
                + "session's `csrf_token`, as `GET /v1/me` tells it, in the header X-CSRF-Token. Machines use API keys, which "
                + "need none of this."
        case .notFound:
            "The path, or the thing that it names, does not exist. Ids are case-sensitive."
        case .methodNotAllowed:
            "The Allow header lists the methods that the path takes."
        case .payloadTooLarge:
            "Webhooks may have 1 MiB, other requests 256 KiB. The connection is closed after this answer."
        case .unsupportedMediaType:
            "Send `Content-Type: application/json`."
        case .idempotencyKeyMissing:
            "Send `Idempotency-Key` with 1 to 255 visible ASCII characters, a new one for each thing you want done and the "
                + "same one when you repeat a request whose answer you did not get."
        case .idempotencyKeyReused:
            "The same key came earlier with other content. Use a new key for a new request."
        case .scheduleConflict:
            "A resource is taken at that time. `conflicts` tells which, `alternatives` lists times that were free when the "
                + "answer was made. Send a new request, with a new idempotency key, for one of them."
        case .illegalTransition:
            "The thing is in a state in which this cannot be done, such as a canceled job that should be moved."
        case .versionMismatch:
            "If-Match names an older version. Read the thing again, look at what changed, and decide anew."
        case .preconditionRequired:
            "Read the thing, and send its ETag as If-Match, so that you do not overwrite what somebody else has changed "
                + "meanwhile. `If-Match: *` changes it whatever its version is."
        case .rateLimited:
            "Too many attempts to log in have failed, for this account or from this address. Wait as long as Retry-After says; "
                + "each further failure doubles the wait, up to a quarter of an hour."
        case .overloaded:
            "More requests are being stored, or passwords checked, than may be at once. Send the same request again after the time in Retry-After."
        case .dependencyUnavailable:
            "Neither the message broker nor the database could store the request, or the database cannot be read. Send the "
                + "same request again after the time in Retry-After."
        case .internalError:
            "This is a defect. Report it with the request id."
        }
    }

    /// A problem of this type.
    package func problem(_ detail: String? = nil, errors: [Problem.FieldError] = []) -> Problem {
        Problem(type: rawValue, title: title, status: status, detail: detail, errors: errors)
    }
}
