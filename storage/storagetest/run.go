package storagetest

import (
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mintmark/storage"
)

// promises is every promise that is held to, by whose interface makes it.
var promises = []struct {
	name string
	hold func(t *testing.T, w *world)
}{
	{"accounts", peopleAreRemembered},
	{"the first admin", thereIsOneFirstAdmin},
	{"the last admin", oneAdminStays},
	{"the set-up code", theSetupCodeWorksOnce},
	{"passwords", passwordsAreReplaced},
	{"new passwords", whoKnewTheOldPasswordIsOut},
	{"disabling and removing", whoIsGoneHasNothing},
	{"sessions", sessionsLiveAndEnd},
	{"ending sessions", endingASessionEndsWhatItGave},
	{"providers", providersAreRemembered},
	{"sealing anew", aSecretIsSealedAnew},
	{"states", aStateIsSpentOnce},
	{"identities", anIdentityIsOnePerson},
	{"links", linksAreAdded},
	{"the last way in", oneWayInStays},
	{"roles by rule", rolesOfRulesComeAndGo},
	{"unlinking", unlinkingEndsWhatTheLinkBegan},
	{"providers that are gone", aProviderEndsWhatItBegan},
	{"unlinking meanwhile", whoUnlinksIsSeenByWhoSignsIn},
	{"the vault", keptTokensGoWithWhatTheyRestOn},
	{"revoking upstream", whatWasKeptIsToBeRevoked},
	{"keeping and unlinking", nothingIsKeptOfALinkThatIsGone},
	{"leases in the vault", oneRefreshesKeptTokens},
	{"counters", countersGiveDistinctNumbers},
	{"signing keys", signingKeysAreMadeOnce},
	{"named keys", namedKeysAreTheSameForAll},
	{"API keys", apiKeysAreRemembered},
	{"changes of API keys", apiKeysAreChanged},
	{"rotations", aKeyIsRotatedOnce},
	{"owners of API keys", aKeyStandsWithItsOwner},
	{"uses of API keys", usesAddUp},
	{"quotas", aQuotaIsLentOnce},
	{"quotas, all at once", noMoreIsLentThanThereIs},
	{"keys of an owner", anOwnerHasSoManyKeys},
	{"notices", noticesAreToldOnce},
	{"idle keys", idleKeysAreDisabled},
	{"the audit log", theAuditLogIsInOrder},
	{"clients", clientsAreLookedAfter},
	{"consents", consentsAdd},
	{"remembered consents", whatRestsOnAConsentGoesWithIt},
	{"answers", aRequestIsAnsweredOnce},
	{"codes", aCodeIsRedeemedOnce},
	{"refresh tokens", aGenerationIsRotatedOnce},
	{"standing", standingTellsEverything},
	{"access tokens", opaqueTokensAreRemembered},
	{"assertions", anAssertionIsUsedOnce},
	{"changes", changesAreAnnounced},
	{"revocations", whatIsTakenBackIsTold},
	{"news", newsComeOnce},
	{"the last word", theLastWordIsTrue},
	{"confirmations", copiesConfirm},
	{"leases", aLeaseHasOneHolder},
	{"purge", purgeTakesOnlyTheDead},
	{"one trip", everyVerbIsOneTrip},
	{"contexts", aDeadContextChangesNothing},
	{"closing", afterCloseNothingHappens},
}

// Run holds both databases to every promise.
func Run(t *testing.T) {
	for _, p := range promises {
		t.Run(p.name, func(t *testing.T) {
			Each(t, func(t *testing.T, open func() *storage.DB) {
				p.hold(t, newWorld(t, open))
			})
		})
	}
}

// racers is how many goroutines want the same thing at once.
const racers = 64

// race lets 64 goroutines do something at once, through different copies, and says what
// each of them got.
func (w *world) race(do func(db *storage.DB, i int) error) []error {
	errs := make([]error, racers)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			<-start
			errs[i] = do(w.copies[i%len(w.copies)], i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// wantOneWinner wants one nil, and lost for everybody else. It returns who won.
func (w *world) wantOneWinner(errs []error, lost error) int {
	w.t.Helper()
	winner, winners := -1, 0
	for i, err := range errs {
		switch {
		case err == nil:
			winner = i
			winners++
		case !errors.Is(err, lost):
			w.t.Fatalf("a loser got %v, want %v", err, lost)
		}
	}
	if winners != 1 {
		w.t.Fatalf("%d of %d won, want one", winners, len(errs))
	}
	return winner
}

// must ends the story if something that is not its point fails.
func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// wants compares an error with the sentinel that was promised, nil included.
func (w *world) wants(want, got error) {
	w.t.Helper()
	if !errors.Is(got, want) {
		w.t.Errorf("got %v, want %v", got, want)
	}
}

// same compares values; nothing and an empty list are the same.
func (w *world) same(want, got any) {
	w.t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		w.t.Errorf("-want +got\n%s", diff)
	}
}
