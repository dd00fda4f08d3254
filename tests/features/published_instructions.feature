Feature: NuNet's published instructions
  The instructions that NuNet has published for keys, capabilities and settings give the published results with this program.
  The commands are as published; only dates that have passed are changed.

  Background:
    Given a machine "alice"

  @ucan
  Scenario: README, Creating identities: a context brings its key, and the key has a DID
    When alice types
      """
      nunet cap new user
      nunet cap new dms
      nunet key did user
      """
    Then it succeeds
    And the output is a DID
    And the file ".nunet/key/user.json" has mode 600
    And the file ".nunet/cap/dms.cap" has mode 600
    And the folder ".nunet/cap" has mode 700

  @ucan
  Scenario: README, Setting up capabilities: the user is the root of the node
    Given alice has typed
      """
      nunet cap new user
      nunet cap new dms
      """
    When alice types
      """
      nunet cap anchor --context dms --root $(nunet key did user)
      nunet cap list --context dms
      """
    Then the output mentions the DID of "user"
    And the context "dms" has 1 root anchor

  @ucan
  Scenario: README, Setup for the public network: the node accepts NuNet's members and shows NuNet's token
    Given alice has typed
      """
      nunet cap new user
      nunet cap new dms
      nunet cap new nunet
      """
    When alice types
      """
      NUNET_DID='did:key:zzCHUybNYmK8QsttZwXqUX8aDLoBGHnMCakDX2RpsGwmXmYHEW'
      nunet cap grant --context user --cap /public --cap /broadcast --topic /nunet --expiry 2099-12-31 $NUNET_DID | tee grant-output
      nunet cap anchor --context dms --require $(cat grant-output)
      """
    Then it succeeds
    And a require anchor of "dms" is by "user", for "did:key:zzCHUybNYmK8QsttZwXqUX8aDLoBGHnMCakDX2RpsGwmXmYHEW", with "/public /broadcast"
    When alice types
      """
      nunet cap grant --context nunet --cap /public --cap /broadcast --topic /nunet --expiry 2099-12-31 $(nunet key did user) > from-nunet
      nunet cap anchor --context user --provide $(cat from-nunet)
      nunet cap delegate --context user --cap /public --cap /broadcast --topic /nunet --expiry 2099-12-31 $(nunet key did dms) > delegated
      nunet cap anchor --context dms --provide $(cat delegated)
      """
    Then it succeeds
    And a provide anchor of "dms" is by "user", for "dms", with "/public /broadcast"

  @ucan
  Scenario: README, Using a Ledger wallet: the wallet is the user, and signs what the user grants
    Given alice has a Ledger wallet
    And alice has typed
      """
      nunet key ledger-alias set user 0
      nunet cap new ledger:user
      nunet cap new dms
      """
    When alice types
      """
      nunet key did ledger
      """
    Then the output is "did:key:zzCHUyQCnsN1Kr4csSfpYL2oMsUoFcDS7BGgZP7C5bAdZqsXuX"
    When alice types
      """
      NUNET_DID='did:key:zzCHUybNYmK8QsttZwXqUX8aDLoBGHnMCakDX2RpsGwmXmYHEW'
      nunet cap anchor --context dms --root $(nunet key did ledger:user)
      nunet cap grant --context ledger:user --cap /public --cap /broadcast --topic /nunet --expiry 2099-12-31 $NUNET_DID | tee grant-output
      nunet cap anchor --context dms --require $(cat grant-output)
      nunet cap new nunet
      nunet cap anchor --context ledger:user --provide $(nunet cap grant --context nunet --cap /public --duration 1h $(nunet key did ledger:user))
      nunet cap anchor --context dms --provide $(nunet cap delegate --context ledger:user --cap /public --duration 30m $(nunet key did dms))
      """
    Then it succeeds
    And the context "dms" has 1 root anchor
    And a require anchor of "dms" is by "did:key:zzCHUyQCnsN1Kr4csSfpYL2oMsUoFcDS7BGgZP7C5bAdZqsXuX", for "did:key:zzCHUybNYmK8QsttZwXqUX8aDLoBGHnMCakDX2RpsGwmXmYHEW", with "/public /broadcast"
    And a provide anchor of "dms" is by "did:key:zzCHUyQCnsN1Kr4csSfpYL2oMsUoFcDS7BGgZP7C5bAdZqsXuX", for "dms", with "/public"

  @ucan
  Scenario: README, Using a Ledger wallet: its owner controls the node
    Given alice has a Ledger wallet
    And alice has typed
      """
      nunet key ledger-alias set user 0
      nunet cap new ledger:user
      nunet cap new dms
      nunet cap anchor --context dms --root $(nunet key did ledger:user)
      """
    And alice's daemon is started
    When alice types
      """
      nunet actor cmd --context ledger:user /dms/node/peers/self
      """
    Then it succeeds
    And the answer has "id"

  @ucan
  Scenario: docs, Creating a private network: an organisation's key comes first, its context uses it
    When alice types
      """
      nunet key new myorg > did-myorg
      nunet cap new myorg
      nunet key did myorg | cmp - did-myorg
      """
    Then it succeeds
    And alice's keys are "myorg"
    Given alice has typed
      """
      nunet cap new user
      nunet cap new dms
      nunet cap grant --context myorg --cap /dms/deployment --cap /broadcast --cap /public --topic /nunet --expiry 2099-12-31 $(nunet key did user) > token-1
      nunet cap anchor --context user --provide "$(cat token-1)"
      nunet cap grant --context user --cap /dms/deployment --cap /broadcast --cap /public --topic /nunet --expiry 2099-12-31 $(nunet key did myorg) > token-2
      nunet cap anchor --context dms --require "$(cat token-2)"
      nunet cap delegate --context user --cap /dms/deployment --cap /broadcast --cap /public --topic /nunet --expiry 2099-12-31 $(nunet key did dms) > token-3
      nunet cap anchor --context dms --provide "$(cat token-3)"
      """
    Then a require anchor of "dms" is by "user", for "myorg", with "/dms/deployment /broadcast /public"
    And a provide anchor of "dms" is by "user", for "dms", with "/dms/deployment /broadcast /public"

  @cli-access
  Scenario: The appliance: its calls with short flags, and the version where it looks for it
    Given alice has typed
      """
      nunet key new dms
      nunet cap new dms
      nunet cap new org
      """
    When alice types
      """
      nunet cap grant --context dms --cap /dms/deployment --cap /broadcast --cap /public --topic /nunet --expiry 2099-12-31 $(nunet key did org) > required
      nunet cap anchor -c dms --require "$(cat required)"
      nunet cap grant -c org --cap /dms/deployment --duration 24h $(nunet key did dms) > provided
      nunet cap anchor -c dms --provide "$(cat provided)"
      nunet version
      """
    Then the output has the line "Version: 0.1.0"
    And the context "dms" has 1 require anchor
    And the context "dms" has 1 provide anchor

  @ucan
  Scenario: cap reference: every flag, short and long
    Given alice has typed
      """
      nunet cap new user
      nunet cap new dms
      """
    When alice types
      """
      DMS=$(nunet key did dms)
      nunet cap grant -c user --cap /public,/dms -t /nunet -t /other -a $DMS -e 2099-12-31T18:00:00Z -d 2 $DMS > granted
      nunet cap grant --context user --cap /public --topic /nunet --audience $DMS --duration 30d --depth 1 $DMS > /dev/null
      nunet cap anchor -c dms --provide "$(cat granted)"
      nunet cap delegate -c dms --cap /public -t /nunet/x -a $DMS --auto-expire -d 1 $DMS
      nunet cap delegate -c dms --cap /public -a $DMS --duration 1h --self-sign no $DMS
      nunet cap delegate -c dms --cap /public -a $DMS -e 2099-01-01 --self-sign also $DMS > both
      nunet cap delegate -c dms --cap /elsewhere --duration 1h --self-sign only $DMS
      """
    Then it succeeds
    And the file "both" lists 2 tokens
    When alice types
      """
      nunet cap delegate -c dms --cap /elsewhere --duration 1h --self-sign no $(nunet key did dms)
      """
    Then it ends with status 3

  @ucan
  Scenario: cap revoke: what was granted is withdrawn, by list or single token
    Given alice has typed
      """
      nunet cap new user
      nunet cap new dms
      nunet cap grant -c user --cap /public --duration 24h $(nunet key did dms) > granted
      nunet cap anchor -c dms --require "$(cat granted)"
      """
    When alice types
      """
      nunet cap revoke --context user "$(cat granted)" > revocation
      nunet cap anchor --context dms --revoke "$(cat revocation)"
      """
    Then it succeeds
    And the context "dms" has 0 require anchors
    And the context "dms" has 1 revoke anchor
    When alice types
      """
      nunet cap remove --context dms --revoke "$(cat revocation)"
      """
    Then the context "dms" has 0 revoke anchors

  @cli-access
  Scenario: README, Configuration: settings are read, changed and edited
    When alice types
      """
      nunet config set rest.port 4444
      nunet config get rest.port
      """
    Then the output is "4444"
    When alice types
      """
      DMS_REST_PORT=4445 nunet config get rest.port
      """
    Then the output is "4445"
    When alice types
      """
      EDITOR='test -z "$DMS_PASSPHRASE" && sed -i s/4444/4446/' nunet config edit
      nunet config get rest.port
      """
    Then the output is "4446"
    When alice types
      """
      EDITOR='sed -i s/port/prot/' nunet config edit
      """
    Then it fails
    And the error mentions "did you mean rest.port?"
    When alice types
      """
      EDITOR='sed -i s/prot/port/' nunet config edit
      nunet config get rest.port
      """
    Then it succeeds
    And the output is "4446"

  @cli-access
  Scenario: README, Configuration: an unknown key is refused with the nearest one
    When alice types
      """
      nunet config set rest.prot 4444
      """
    Then it ends with status 2
    And the error mentions "did you mean rest.port?"

  @cli-access
  Scenario: autocomplete: bash completes commands, flags, behaviours, names and DIDs, which it splits at their colons
    Given alice has typed
      """
      nunet cap new user
      nunet cap new dms
      nunet autocomplete bash > completion.sh
      """
    When alice types
      """
      source completion.sh
      complete_line() {
        COMP_LINE=$1 COMP_POINT=${#1} COMP_WORDBREAKS=$' \t\n"\'><=;|&(:'
        _nunet
        printf '%s\n' "${COMPREPLY[@]}"
      }
      complete_line "nunet dep"
      complete_line "nunet deploy --wa"
      complete_line "nunet actor cmd /dms/node/onboarding/onb"
      complete_line "nunet actor cmd /dms/node/onboarding/onboard --ra"
      complete_line "nunet cap list -c "
      complete_line "nunet cap list --context=u"
      complete_line "nunet cap anchor -c dms --root did:" | sed 's/^/did:/' | grep -qxF "$(nunet key did dms)" && echo completed
      """
    Then the output has the line "deployment"
    And the output has the line "--wait"
    And the output has the line "/dms/node/onboarding/onboard"
    And the output has the line "--ram"
    And the output has the line "dms"
    And the output has the line "user"
    And the output has the line "completed"

  @ucan
  Scenario: A key moves to another machine
    Given a machine "bob"
    And alice has typed
      """
      nunet key new user > did
      nunet key export user --output user.json
      """
    When bob types
      """
      nunet key import user ../alice/user.json > did
      cmp did ../alice/did
      nunet cap new user
      """
    Then it succeeds
