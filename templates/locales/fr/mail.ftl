mail-marker = Répondez au-dessus de cette ligne
mail-hello = Bonjour,
mail-hello-name = Bonjour { $name },
mail-ticket-link = Votre demande { $reference }, avec tous les échanges :
mail-neutral-subject = Votre demande à { $operator }
mail-attribution = Le { $date }, { $name } a écrit :
mail-acknowledgement-subject = Bien reçu : { $subject }
mail-acknowledgement-neutral-subject = Votre demande est bien arrivée
mail-acknowledgement-received = Nous avons bien reçu votre demande. Sa référence est { $reference }.
mail-acknowledgement-goes-on = Nous avons bien reçu votre message. Votre demande { $old } était close : la suite porte la nouvelle référence { $reference }.
mail-acknowledgement-next = Nous vous répondrons ici. Pour ajouter quelque chose, répondez simplement à ce message.
mail-acknowledgement-follow = Vous pouvez la suivre et la compléter sur cette page :
mail-first-request-subject = Votre demande à { $operator }
mail-first-request-received = { $operator } a reçu une demande avec cette adresse. Sa référence est { $reference }.
mail-first-request-confirm = Ouvrez cette page pour confirmer que l’adresse est la vôtre. Vous pourrez y suivre la demande.
mail-first-request-not-you = Si vous n’avez rien envoyé, vous n’avez rien à faire. Nous ne vous écrirons plus à ce sujet aujourd’hui.
mail-participant-wrote = { $name } a écrit dans une demande à laquelle vous participez :
mail-agent-new = { $name } a envoyé une nouvelle demande, { $reference }, à { $queue } :
mail-agent-wrote = { $name } a écrit dans { $reference } :
mail-agent-doubted = Un message dans { $reference } se dit de { $name }, sans preuve. Seuls les agents le lisent, jusqu’à ce que l’un d’eux l’accepte.
mail-agent-assigned = { $name } vous a confié le ticket { $reference } : { $subject }
mail-agent-assigned-by-nobody = Le ticket { $reference } vous a été confié : { $subject }
mail-answer-held = Votre réponse dans { $reference } n’a pas été envoyée.
mail-answer-held-of = Une réponse de { $name } dans { $reference } n’a pas été envoyée.
answer-held-customer-wrote = Le client a écrit avant son départ. Merci de le lire, et de décider si la réponse convient toujours.
answer-held-colleague-wrote = Un collègue a écrit avant son départ. Merci de le lire, et de décider si la réponse convient toujours.
answer-held-closed = Le ticket a été fermé avant son départ. Merci de décider si elle est encore utile.
answer-held-other-requester = Le ticket a un autre demandeur, pour qui elle n’a pas été écrite. Merci de décider si elle convient.
answer-held-other-readers = Le ticket a d’autres lecteurs qu’au moment où elle a été écrite. Merci de décider si elle leur est destinée aussi.
answer-held-not-allowed = Son auteur ne travaille plus sur ce ticket. Quelqu’un d’autre peut reprendre la réponse.
answer-held-author-left = Le compte de son auteur est désactivé. Quelqu’un d’autre peut reprendre la réponse.
answer-held-restored = Elle vient d’une sauvegarde, et est peut-être déjà partie. Merci de vérifier avant de l’envoyer.
mail-agent-held = Un message qui dit appartenir à { $reference } est retenu, car son expéditeur n’est pas sûr. Merci de l’examiner et de décider.
mail-agent-held-count = { $count ->
    [one] C’est un message de cet expéditeur.
   *[other] Cela fait maintenant { $count } messages de cet expéditeur.
}
mail-digest-subject = { $count ->
    [one] Du nouveau dans un ticket, avec retard
   *[other] Du nouveau dans { $count } tickets, avec retard
}
mail-digest-lead = Pendant un temps, le courrier n’a pas pu partir. Entre-temps, il y a eu du nouveau dans ces tickets :
mail-digest-news = { $count ->
    [one] Une nouvelle
   *[other] { $count } nouvelles
}
mail-digest-more = { $count ->
    [one] et un autre ticket
   *[other] et { $count } autres tickets
}
mail-digest-unsubscribe = Ne plus recevoir de courriels sur les tickets :
mail-agent-open = Ouvrir le ticket :
mail-agent-answer-is-note = Une réponse à ce message devient une note interne. Le client ne la voit pas.
mail-unreadable-subject = Un message n’a pas pu être lu
mail-unreadable-text = Rien de ce message n’a pu être lu. Il est joint tel qu’il est arrivé.
mail-formless-subject = Un message qui n’a pas la forme d’un courriel
mail-formless-text = Ce message n’a pas la forme d’un courriel ; voici ce qui a pu en être lu. Il est joint tel qu’il est arrivé.
mail-headers-only-text = Seul l’en-tête de ce message a pu être lu. Il est joint tel qu’il est arrivé.
mail-encrypted-file = Ce courriel est chiffré et ne peut être lu ici. Son contenu est dans le fichier joint, pour qui détient la clé.
mail-encrypted-text = Ce courriel est chiffré et ne peut être lu ici. Son contenu se trouve plus bas, pour qui détient la clé.
mail-no-subject = (sans objet)
mail-no-text = (sans texte)
mail-unknown-sender = Expéditeur inconnu
mail-card-masked = L’original de ce message contenait un numéro de carte de paiement et est conservé sans lui.
mail-account-sign-in-subject = Votre lien de connexion à { $operator }
mail-account-sign-in = Vous avez demandé à vous connecter. Ce lien le fait, une seule fois :
mail-account-password-subject = Choisissez un nouveau mot de passe pour { $operator }
mail-account-password = Vous avez demandé un nouveau mot de passe. Vous pouvez le choisir sur cette page :
mail-account-registration-subject = Confirmez votre inscription auprès de { $operator }
mail-account-registration = Quelqu’un s’est inscrit avec cette adresse. Confirmez sur cette page que c’était bien vous :
mail-account-registered-subject = Vous avez déjà un compte auprès de { $operator }
mail-account-registered = Quelqu’un s’est inscrit avec cette adresse, qui a déjà un compte. Vous pouvez vous connecter ici :
mail-account-invitation-subject = Votre compte auprès de { $operator }
mail-account-invitation = { $name } vous a créé un compte. Choisissez un mot de passe sur cette page, et il est à vous :
mail-account-member-subject = Invitation à rejoindre { $organisation }
mail-account-member = { $name } vous invite à rejoindre { $organisation }. Vous pouvez accepter sur cette page :
mail-account-address-subject = Confirmez votre adresse auprès de { $operator }
mail-account-address = Vous souhaitez utiliser cette adresse pour votre compte. Confirmez sur cette page qu’elle est bien à vous :
mail-account-password-changed-subject = Votre mot de passe a été modifié
mail-account-password-changed = Le mot de passe de votre compte vient d’être modifié.
mail-account-password-changed-secrets = Le mot de passe de votre compte vient d’être modifié. Les secrets d’API de votre compte restent valables ; vérifiez ici que vous les connaissez tous :
mail-account-address-changed-subject = Votre adresse a été modifiée
mail-account-address-changed = L’adresse de votre compte vient d’être modifiée. Nous écrirons désormais à la nouvelle.
mail-account-manager-subject = Qui gère { $organisation }
mail-account-manager = { $name }, de { $operator }, a donné à { $address } le droit de gérer { $organisation } : ses membres, leurs droits, ses sites et ses environnements. Vous pouvez le vérifier, et revenir dessus, sur cette page :
mail-account-manager-caution = Si personne de chez vous ne l’a demandé, écrivez-nous sans attendre.
mail-account-until = Le lien est valable jusqu’au { $time }.
mail-account-ignore = Si ce n’était pas vous, ignorez ce message. Rien ne se passe sans le lien.
mail-account-warn = Si ce n’était pas vous, écrivez-nous sans attendre.
mail-link-subject = [{ $reference }] Votre lien vers votre demande à { $operator }
mail-link-lead = Vous avez demandé un lien vers votre demande { $reference }. Il ouvre cette seule demande, pour la lire et y répondre :
mail-link-caution = Si ce n’était pas vous, ignorez ce message. Le lien n’ouvre rien d’autre et ne sert qu’à qui détient ce message.
