mail-marker = Please answer above this line
mail-hello = Hello,
mail-hello-name = Hello { $name },
mail-ticket-link = Your request { $reference }, with everything said so far:
mail-neutral-subject = Your request to { $operator }
mail-attribution = On { $date }, { $name } wrote:
mail-acknowledgement-subject = Received: { $subject }
mail-acknowledgement-neutral-subject = Your request has arrived
mail-acknowledgement-received = We have received your request. Its reference is { $reference }.
mail-acknowledgement-goes-on = We have received your message. Your request { $old } was closed: it goes on under the new reference { $reference }.
mail-acknowledgement-next = Somebody will answer you here. To add something, simply answer this mail.
mail-acknowledgement-follow = You can follow it and add to it on this page:
mail-first-request-subject = Your request to { $operator }
mail-first-request-received = { $operator } has received a request with this address. Its reference is { $reference }.
mail-first-request-confirm = Please open this page to confirm that the address is yours. You can follow the request there.
mail-first-request-not-you = If you sent nothing, you need not do anything. We will not write to you about it again today.
mail-participant-wrote = { $name } wrote in a request in which you take part:
mail-agent-new = { $name } sent a new request, { $reference }, to { $queue }:
mail-agent-wrote = { $name } wrote in { $reference }:
mail-agent-doubted = A mail in { $reference } that says it is from { $name }, without proof. Only agents read it, until one of them accepts it.
mail-agent-assigned = { $name } assigned the ticket { $reference } to you: { $subject }
mail-agent-assigned-by-nobody = The ticket { $reference } was assigned to you: { $subject }
mail-answer-held = Your answer in { $reference } was not sent.
mail-answer-held-of = An answer by { $name } in { $reference } was not sent.
answer-held-customer-wrote = The customer wrote before it went out. Please read that, and decide whether the answer still fits.
answer-held-colleague-wrote = A colleague wrote before it went out. Please read that, and decide whether the answer still fits.
answer-held-closed = The ticket was closed before it went out. Please decide whether it is still wanted.
answer-held-other-requester = The ticket was given to another requester, for whom it was not written. Please decide whether it fits.
answer-held-other-readers = This ticket has other readers than when it was written. Please decide whether it is for them, too.
answer-held-not-allowed = Its author does not work on this ticket any more. Somebody else can take the answer over.
answer-held-author-left = Its author’s account is disabled. Somebody else can take the answer over.
answer-held-restored = It comes from a backup, and may have gone out already. Please look before you send it.
mail-agent-held = A mail that claims to belong to { $reference } is being held, for its sender could not be believed. Please look at it and decide.
mail-agent-held-count = { $count ->
    [one] It is one mail of this sender.
   *[other] By now it is { $count } mails of this sender.
}
mail-digest-subject = { $count ->
    [one] News in one ticket, late
   *[other] News in { $count } tickets, late
}
mail-digest-lead = For a while mail could not be sent. Meanwhile there was news in these tickets:
mail-digest-news = { $count ->
    [one] One piece of news
   *[other] { $count } pieces of news
}
mail-digest-more = { $count ->
    [one] and one more ticket
   *[other] and { $count } more tickets
}
mail-digest-unsubscribe = No more mail about tickets:
mail-agent-open = Open the ticket:
mail-agent-answer-is-note = An answer to this mail becomes an internal note. The customer does not see it.
mail-unreadable-subject = A mail could not be read
mail-unreadable-text = Nothing of this mail could be read. It is attached as it came.
mail-formless-subject = A message without the form of a mail
mail-formless-text = This message does not have the form of a mail; here is what could be read of it. It is attached as it came.
mail-headers-only-text = Only the header of this mail could be read. It is attached as it came.
mail-encrypted-file = This mail is encrypted, so it cannot be read here. What it says is in the attached file, for whoever has the key.
mail-encrypted-text = This mail is encrypted, so it cannot be read here. What it says is below, for whoever has the key.
mail-no-subject = (no subject)
mail-no-text = (no text)
mail-unknown-sender = Unknown sender
mail-card-masked = The original of this mail held a payment card number and is kept without it.
mail-account-sign-in-subject = Your link to sign in to { $operator }
mail-account-sign-in = You asked to sign in. This link does it, once:
mail-account-password-subject = Choose a new password for { $operator }
mail-account-password = You asked for a new password. You can choose it on this page:
mail-account-registration-subject = Confirm your registration with { $operator }
mail-account-registration = Somebody registered with this address. Please confirm on this page that it was you:
mail-account-registered-subject = You already have an account with { $operator }
mail-account-registered = Somebody registered with this address, which already has an account. You can sign in here:
mail-account-invitation-subject = Your account with { $operator }
mail-account-invitation = { $name } made an account for you. Choose a password on this page, and it is yours:
mail-account-member-subject = Invitation to join { $organisation }
mail-account-member = { $name } invites you to join { $organisation }. You can accept on this page:
mail-account-address-subject = Confirm your address with { $operator }
mail-account-address = You want to use this address for your account. Please confirm on this page that it is yours:
mail-account-password-changed-subject = Your password was changed
mail-account-password-changed = The password of your account was changed just now.
mail-account-password-changed-secrets = The password of your account was changed just now. The API secrets of your account go on working; please check here that you know all of them:
mail-account-address-changed-subject = Your address was changed
mail-account-address-changed = The address of your account was changed just now. We will write to the new one from now on.
mail-account-manager-subject = Who manages { $organisation }
mail-account-manager = { $name } of { $operator } gave { $address } the right to manage { $organisation }: its members, their rights, its sites and environments. You can check this, and take it back, on this page:
mail-account-manager-caution = If nobody of yours asked for it, please write to us at once.
mail-account-until = The link is valid until { $time }.
mail-account-ignore = If it was not you, ignore this mail. Nothing happens without the link.
mail-account-warn = If it was not you, please write to us at once.
mail-link-subject = [{ $reference }] Your link to your request to { $operator }
mail-link-lead = You asked for a link to your request { $reference }. It opens this one request, to read and to answer:
mail-link-caution = If it was not you, ignore this mail. The link opens nothing else, and it works only for who has this mail.
