# Consent to diagnostics: what the customer reads, what the agent asks.

nav-consents = Consents
panel-consents = Diagnostics
consents-title = Consents
consents-sub = What you granted, refused or stopped, with the receipts.
consents-none = No question yet
consents-none-hint = When an agent needs to look at how the software works for you, you will be asked here.
consents-request = Request
consents-state = State
consents-asked = Asked on
consent-title = Request for consent
consent-title-of = Diagnostics for request { $reference }

consent-component-pages = pages and the interface for programs
consent-component-tickets = requests and search
consent-component-mail = mail in and out
consent-component-database = statements to the database (without their values)
consent-component-background = background work
consent-component-products = our software at your place (OpenTelemetry)
consent-level-error = errors only
consent-level-warn = errors and warnings
consent-level-info = main steps
consent-level-debug = diagnostic detail
consent-level-trace = finest detail
consent-purpose-fault = looking for a fault
consent-purpose-performance = looking for slowness
consent-purpose-usage = understanding a use
consent-subject-person = { $name }, for their own use only
consent-subject-organisation = everybody at { $name }
consent-subject-own = your own use, or that of the person named
consent-subject-whole = the whole organisation
consent-basis-consent = In law, your answer is consent (GDPR Article 6(1)(a)), which you may withdraw at any time as easily as you gave it.
consent-basis-instruction = In law, your answer is a documented instruction of your organisation to its processor (GDPR Article 28(3)(a)), which you may revoke at any time. Everybody concerned sees a banner while recording lasts.
consent-exports-allowed = Agents will be able to download what is recorded.
consent-exports-refused = Agents will not be able to download it.
consent-exports-yes = download allowed
consent-exports-no = on screen only
consent-days =
    { $count ->
        [one] { $count } day
       *[other] { $count } days
    }
consent-hours =
    { $count ->
        [one] { $count } hour
       *[other] { $count } hours
    }
consent-minutes =
    { $count ->
        [one] { $count } minute
       *[other] { $count } minutes
    }
consent-stops-always = Recording stops earlier if the request is closed or no agent takes care of it any more.
consent-stops-when-seen = It also stops as soon as “{ $text }” appears.
consent-stops-unread = It also stops if nobody looks at it for { $duration }.
consent-recipients-queue = the agents of the queue “{ $queue }”
consent-recipients-agent = { $name }, and nobody else
consent-place-unsaid = country given by the operator on request

consent-fact-purpose = Why
consent-fact-components = What is recorded
consent-fact-level = How closely
consent-fact-subject = Who is concerned
consent-fact-duration = For how long
consent-fact-retention = Kept after the end
consent-fact-recipients = Who may read it
consent-fact-exports = Download by agents
consent-fact-granted = Granted on
consent-fact-until = Until
consent-fact-destruction = Destruction
consent-destruction-under-way = Under way. The certificate is given once nothing readable is left in the files.
consent-fact-kept-until = Data kept until
consent-fact-destroyed = Data destroyed on

consent-state-requested = Waits for an answer
consent-state-awaiting-second = Waits for a second approval
consent-state-active = Recording
consent-state-waits = Agreed, not begun yet
consent-state-withdrawn = Withdrawn
consent-state-stopped = Stopped
consent-state-expired = Over
consent-state-destroyed = Data destroyed
consent-state-refused = Refused
consent-state-lapsed = Not answered
consent-state-cancelled = Taken back by the agent

event-consent-requested = { $who } asked for diagnostics
event-consent-approved = { $who } gave a first approval; a second is awaited
event-consent-granted = { $who } granted diagnostics
event-consent-granted-less = { $who } granted less than was asked
event-consent-refused = { $who } refused diagnostics
event-consent-lapsed = The request for consent was not answered and has lapsed
event-consent-cancelled = The request for consent was taken back
event-consent-withdrawn = { $who } withdrew consent; recording has stopped
event-consent-expired = The time of the diagnostics is over; recording has stopped
event-consent-stopped = { $who } stopped the diagnostics
event-consent-stopped-closed = The diagnostics stopped: the request is closed
event-consent-stopped-unassigned = The diagnostics stopped: no agent takes care of the request any more
event-consent-stopped-reproduced = The diagnostics stopped: what was looked for appeared
event-consent-stopped-unread = The diagnostics stopped: nobody was looking
event-consent-stopped-membership = The diagnostics stopped: whoever granted them may no longer
event-consent-stopped-clock = The diagnostics stopped: the server was no longer sure of the time
event-traces-destroyed = The data of the diagnostics were destroyed

consent-left = { $left } left
consent-banner-own = Your use is being recorded for diagnostics ({ $left } left)
consent-banner-whole = Your organisation’s use is being recorded for diagnostics ({ $left } left)
consent-banner-own-waits = Diagnostics of your use are agreed to; nothing is recorded yet ({ $left } left)
consent-banner-whole-waits = Diagnostics of your organisation’s use are agreed to; nothing is recorded yet ({ $left } left)
consent-keep = Keep what has been recorded until its date
consent-keep-hint = Without this tick, everything is destroyed at once.
consent-running-other = Somebody of your organisation with the right to granted it and can stop it.
consent-waits-for-other = You have approved. A second person of your organisation has to confirm; nothing is recorded before.
consent-waits-for-capacity = Agreed, but nothing is recorded yet: as many recordings as are possible at once are under way. This one begins by itself as soon as another ends; the time at which it ends stays the same.
consent-destroy-title = Destroy now
consent-destroy-hint = What was recorded is destroyed for good, and you receive a certificate.
consent-destroy = Destroy the data
consent-destroy-sure = What was recorded is destroyed for good: neither you nor we can read it any more. You receive a certificate.
consent-question-title = The question
consent-open-until = Unanswered, it lapses on
consent-answer-title = Your answer
consent-answer-hint = The three answers are equals. Refusing changes nothing about how your request is dealt with.
consent-second-text = A first person of your organisation approved in these terms. You may confirm or refuse.
consent-needs-two = The whole organisation at the finest detail: a second person of your organisation will have to confirm.
consent-only-own-use = You may grant a recording of your own use. For the whole organisation, the right “grant tracing” is needed.
consent-grant = Grant
consent-grant-less = Grant less
consent-refuse = Refuse
consent-less-title = Grant less
consent-less-hint = Tick what you grant; the rest will not be recorded.
consent-own-use = For my own use only
consent-own-use-hint = Nobody else of the organisation is recorded.
consent-exports-choice = Allow agents to download what is recorded
consent-want-second = Ask a second person of the organisation to approve too
consent-want-second-hint = Nothing is recorded before they answer.
consent-facts-title = The terms
consent-manifest-title = Every field that may be recorded
consent-manifest-hint = Fingerprint { $sha256 }
consent-manifest-show = Show the list
consent-steps-title = What happened
consent-steps-hint = Each step is chained to the one before; nothing in it can be changed unnoticed.
consent-text-title = The text that was read
consent-read-and-answer = Read and answer
consent-see = See the details

receipt-title = Receipt
receipt-open = Show the receipt
receipt-download = Download the receipt (JSON-LD)
receipt-signed-title = Signed receipt
receipt-signed-hint = Keep it: it can be checked without us, with “accord verify”.
receipt-number = Number
receipt-key = Public key
certificate-title = Certificate of destruction
certificate-download = Download the certificate
certificate-at = Destroyed on
certificate-records = Records
certificate-bytes = Bytes
certificate-key = Key destroyed
evidence-download = Download the bundle of evidence
stop-link-title = Stop the diagnostics
stop-link-lead = For request { $reference }. No sign-in is needed, no reason is asked.

consent-ask-title = Ask for diagnostics
consent-ask-sub = Nothing is recorded before the customer agrees. They may grant less, refuse, stop.
consent-ask-purpose = Why, in the customer’s words
consent-ask-purpose-hint = The customer reads it as it stands, and agrees to that only.
consent-ask-purpose-kind = What kind of search
consent-ask-person = { $name }, their own use
consent-ask-organisation = The whole organisation { $name }
consent-ask-subject-hint = Ask for the least that will do.
consent-ask-attributes = Further attributes of our products
consent-ask-attributes-hint = Names separated by commas; only names listed are kept.
consent-ask-level-hint = The whole organisation at the finest detail takes two approvals.
consent-ask-exports = Allow download by agents
consent-ask-exports-hint = The customer may grant without allowing it.
consent-ask-stop = Stop as soon as this text appears
consent-ask-stop-hint = Optional: an error message, for instance.
consent-ask-idle = Stop if nobody looks for
consent-ask-idle-never = without this limit
consent-ask-preview = See what the customer will read
consent-ask-send = Ask
consent-preview-title = What the customer will read
consent-preview-hint = In the language of the request: { $language }.
consent-estimate-none = No diagnostics so far: the volume cannot be estimated.
consent-estimate-own = About { $records } records an hour, going by earlier diagnostics of this customer.
consent-estimate-others = About { $records } records an hour, going by diagnostics of other customers.
consent-agent-stop = I need no more: stop
consent-agent-waits = The customer has not answered yet. The question lapses on
consent-agent-cancel = Take the question back
consent-language-fr = French
consent-language-en = English

error-consent-components = Choose at least one.
error-consent-attributes = Names of letters, figures, dots, dashes; 40 at most.
error-consent-duration = From 5 minutes to 24 hours.
error-consent-retention = From 1 to 30 days.
error-consent-subject = This person is not of the organisation of the request.
error-consent-subject-disabled = This person’s account is disabled: they cannot answer.
error-consent-more = More than was asked cannot be granted.
error-consent-level = Choose how closely.
conflict-consent-ticket-closed = The request is closed, or no agent takes care of it any more: there is nothing to record.
conflict-consent-decided = An answer has already been given.
conflict-consent-lapsed = The question waited too long and has lapsed.
conflict-consent-wording = The text has changed since the page was opened. Read it again before you answer; nothing was granted.
conflict-consent-running = Other diagnostics are running. This question stays open; answer it when they are over.
conflict-consent-no-second = Two people have to approve, and you are the only one of the organisation who may. You can grant less.
conflict-consent-first-gone = Whoever approved first no longer may.
conflict-consent-still-running = Stop the recording first.
conflict-ticket-has-consents = Consent was asked in this ticket: it stays with the organisation that answered. Open another ticket.

said-consent-asked = The question is put to the customer.
said-consent-cancelled = The question is taken back.
said-consent-stopped = The diagnostics are stopped.
said-consent-granted = Your consent is recorded. You can stop at any time; the receipt is being sent to you.
said-consent-approved = Your approval is recorded; nothing begins before the second.
said-consent-refused = Your refusal is recorded. Your request takes its course.
said-consent-withdrawn = Recording has stopped.
said-consent-destruction = The data are being destroyed; the certificate will be sent to you.

mail-consent-asked-subject = [{ $reference }] { $operator } asks for your consent
mail-consent-asked = To deal with request { $reference }, an agent would like to look at how the software works. Nothing is recorded without your consent. Here is the question; it can be answered only on its page, signed in.
mail-consent-second-subject = [{ $reference }] a second approval is awaited
mail-consent-second = For request { $reference }, somebody of your organisation gave a first approval. Yours is needed; without it, nothing is recorded.
mail-consent-link-question = Read and answer (you will be asked to sign in):
mail-consent-question-caution = Answering this mail grants nothing. Refusing, or doing nothing, changes nothing about how your request is dealt with.
mail-consent-granted-subject = [{ $reference }] your consent and its receipt
mail-consent-granted = Your consent for request { $reference } is recorded. The signed receipt is attached.
mail-consent-link-stop = Stop at any time, without signing in:
mail-consent-link-receipt = The receipt:
mail-consent-link-page = The details, in your account:
mail-consent-caution = You receive this mail because you answered a request for consent, or it was put to you.
mail-consent-ended-subject = [{ $reference }] recording has stopped
mail-consent-withdrawn = Consent for request { $reference } was withdrawn. Nothing is recorded any more.
mail-consent-expired = The time of the consent for request { $reference } is over. Nothing is recorded any more.
mail-consent-stopped = The diagnostics for request { $reference } stopped before their time. Nothing is recorded any more.
mail-consent-closed-subject = [{ $reference }] the request for consent is moot
mail-consent-lapsed = The request for consent for { $reference } was not answered and has lapsed. Nothing was recorded.
mail-consent-cancelled = The request for consent for { $reference } was taken back. Nothing was recorded and you need do nothing.
mail-consent-destroyed-subject = [{ $reference }] the data of the diagnostics are destroyed
mail-consent-destroyed = What was recorded for request { $reference } is destroyed. The signed certificate is attached.
mail-agent-consent-granted = { $who } granted diagnostics ({ $reference }).
mail-agent-consent-refused = { $who } refused diagnostics ({ $reference }). The request is dealt with without.
mail-agent-consent-lapsed = The request for consent of { $reference } was not answered ({ $who }).
mail-agent-consent-withdrawn = { $who } withdrew consent ({ $reference }). Recording has stopped.
mail-agent-consent-expired = The time of the diagnostics of { $reference } is over ({ $who }).
mail-agent-consent-stopped = The diagnostics of { $reference } are stopped ({ $who }).

diagnostics-title = What was recorded
diagnostics-link = See what was recorded, and who read it
diagnostics-gone = There is nothing left to read: what was recorded is destroyed, or about to be.
diagnostics-not-yours = The consent does not name you among those who may read.
diagnostics-read-title = Read
diagnostics-read-hint = Each reading is written down below before anything is shown, and the customer sees it.
diagnostics-text = Contains
diagnostics-level = Detail
diagnostics-level-any = All
diagnostics-reason = Reason
diagnostics-reason-hint = Without one, the reference of the ticket is written down.
diagnostics-read = Read
diagnostics-more = Read on
diagnostics-records-title = Records
diagnostics-none = No record matches.
diagnostics-at = When
diagnostics-what = What
diagnostics-who = Who
diagnostics-gap = gap
diagnostics-gap-records =
    { $count ->
        [one] { $count } record lost
       *[other] { $count } records lost
    }
diagnostics-gap-full = The queue was full.
diagnostics-gap-budget = The amount allowed per second was used up.
diagnostics-gap-fault = They could not be kept.
diagnostics-note-masked = { $field }: masked ({ $rule })
diagnostics-note-left-out =
    { $count ->
        [one] { $count } field that the consent does not list, left out
       *[other] { $count } fields that the consent does not list, left out
    }
diagnostics-note-cut = Cut: too long
diagnostics-counters-title = How much
diagnostics-counters-hint = What was kept, what was not, and what was masked.
diagnostics-captured = Kept
diagnostics-dropped-full = Lost, queue full
diagnostics-dropped-budget = Lost, over the amount per second
diagnostics-out-of-scope = Refused, outside the consent
diagnostics-late = Refused, too late
diagnostics-masked = Masked: { $rule }
diagnostics-rule-unlisted = field that the consent does not list
diagnostics-rule-name = field named like a secret
diagnostics-rule-private-key = private key
diagnostics-rule-login = login in an address
diagnostics-rule-secret = secret written in a text
diagnostics-rule-jwt = signed token (JWT)
diagnostics-rule-bearer = access token
diagnostics-rule-token = token of a service
diagnostics-rule-sql = value of an SQL statement
diagnostics-rule-query = value in a web address
diagnostics-rule-email = e-mail address
diagnostics-rule-iban = IBAN
diagnostics-rule-card = card number
diagnostics-rule-random = random string
diagnostics-rule-length = text too long
diagnostics-readings-title = Who read it
diagnostics-readings-hint = Nothing can be taken out of this.
diagnostics-readings-none = Nobody has read it yet.
diagnostics-reading-records =
    { $count ->
        [one] { $count } record
       *[other] { $count } records
    }
diagnostics-reading-text = containing “{ $text }”
diagnostics-component = Part
diagnostics-component-any = All
diagnostics-add-up = Add up the time
diagnostics-unfold = Unfold or fold everything
diagnostics-newer = Show what is new
diagnostics-live-title = Watch it live
diagnostics-live-hint = Records appear as they are made. Pausing stops the reading, not the recording.
diagnostics-watch = Watch live
diagnostics-pause = Pause
diagnostics-watching = Watching; this is on record.
diagnostics-paused = Paused: nothing is read.
diagnostics-over = Recording is over.
diagnostics-searching = Your last search is not done yet. Wait a moment, then search again.
diagnostics-reading-whole = Two readings of everything are under way for you already. Wait until one is done, then try again.
diagnostics-watching-enough = You watch on as many pages as you can at a time. Close one of them, then try again.
diagnostics-records-hint = By trace, as they happened. The firm part of a bar is the time a span was busy itself.
diagnostics-trace-events = Events
diagnostics-trace-records =
    { $count ->
        [one] { $count } record
       *[other] { $count } records
    }
diagnostics-trace-errors =
    { $count ->
        [one] { $count } error
       *[other] { $count } errors
    }
diagnostics-own-time = itself { $time }
diagnostics-admitted = let in by: { $component }
diagnostics-gap-until = until { $until }
diagnostics-flame-title = Where the time went
diagnostics-flame-hint = All spans of this consent, added up by what they ran within. Wider is longer; red had errors.
diagnostics-flame-drawing = Drawing of the table below
diagnostics-flame-table = Time by stack
diagnostics-flame-spans =
    { $count ->
        [0] No span was captured.
        [one] { $count } span added up.
       *[other] { $count } spans added up.
    }
diagnostics-flame-times =
    { $count ->
        [one] { $count } time
       *[other] { $count } times
    }
diagnostics-flame-left-out =
    { $count ->
        [one] { $count } narrower stack is not listed.
       *[other] { $count } narrower stacks are not listed.
    }
diagnostics-flame-stack = Span, within what
diagnostics-flame-share = Share
diagnostics-flame-count = How often
diagnostics-flame-total = In all
diagnostics-flame-own = Itself
diagnostics-flame-errors = Errors
diagnostics-export-title = Take it with you
diagnostics-export-hint = Each file names this consent, and taking it is written down as a reading of everything.
diagnostics-export-no = The consent does not allow records to leave Accord.
diagnostics-export-folded = Folded stacks
diagnostics-side-staff = support
diagnostics-side-customer = customer
diagnostics-now = watching now
diagnostics-did-view = read
diagnostics-did-search = searched
diagnostics-did-watch = watched live
diagnostics-did-ask = read by program
diagnostics-did-add-up = added up
diagnostics-did-take-otlp = took as OTLP
diagnostics-did-take-chrome = took as Chrome trace
diagnostics-did-take-folded = took as folded stacks
diagnostics-did-take-csv = took as CSV
readings-title = Who looked at what concerns me
readings-sub = Every reading of what was recorded of your use, whoever agreed to it and whoever read.
readings-link = Who looked
readings-none = Nobody has looked at anything that concerns you
readings-none-hint = As soon as somebody reads what was recorded with a consent, it stands here, with name, time and reason.
readings-open = What was recorded for { $reference }

# Products that send under a grant

grant-token-title = Let your products send
grant-token-offer = Your consent covers products besides this desk. They send what they do with a token, for as long as the consent lasts and no longer.
grant-token-make = Make a token
grant-token-secret = Token
grant-token-hint = Whoever has it can send diagnostics in your name until the consent ends, and can do and read nothing else.
grant-token-until = Works until
grant-token-organisation = Organisation, if products name one
grant-token-user = User, on every request
grant-token-user-hint = Your consent covers your own use only: products have to say whose each request is, as user.id (this name, or your e-mail address) or as user.hash (its SHA-256). Whatever does not say so is refused.
grant-token-once = It is shown this once: we keep nothing of it. When you stop the diagnostics, it works no more.
grant-token-lines = Ready to paste
grant-token-lines-hint = Where the product is started. Its OpenTelemetry SDK needs nothing else.
grant-token-kept = Done
conflict-no-products-granted = There is nothing for products to send: the consent is over, or does not cover them.
sampling-hint = With such a key your products ask whether to record anything at all. They are told yes only while diagnostics of products are granted.
sampling-make = Make a key
sampling-empty = No key
sampling-empty-hint = Without one, products record what they are set up to, and what is not granted is refused here.
sampling-name = Key
sampling-made = Made
sampling-made-title = Your new sampling key
sampling-made-hint = It is part of the address that the sampler asks, every few seconds.
sampling-address = Address to ask
sampling-once = It is shown this once: we keep only its hash.
conflict-too-many-sampling-keys = An organisation can have { $most } keys. Revoke one that is no longer used.
