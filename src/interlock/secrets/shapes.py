"""What credentials look like where somebody wrote one down. Pure: text in, matches out.

Three families: credentials whose issuer gave them a shape of their own (`PROVIDERS`, from the issuers' public
documentation), structures (keys in PEM, addresses and headers with a password), and literals that stand beside a name
such as `api_key`. The third asks more of the literal in code, where most strings are no secrets, than in configuration,
where a literal password is one whatever it looks like. Placeholders and hashes are none.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum


class Medium(Enum):
    """Where the text stands; decides how much a literal must look like a secret."""

    CODE = "code"
    CONFIG = "configuration"
    LOCK = "lock file"  # hashes everywhere: only what an issuer marked


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A credential in a text. `name` is what its handle could be called."""

    rule: str
    start: int
    end: int
    value: str
    name: str

    def __repr__(self) -> str:
        return f"Match({self.rule}, {self.start}, {self.end})"


# Issued credentials: rule, name of the handle, texts of which one must occur, shape (without the edges).

_PROVIDERS = r"""
adafruit-io            ADAFRUIT_IO_KEY        aio_              aio_[A-Za-z0-9]{28}
age-identity           AGE_IDENTITY           AGE-SECRET-KEY-   AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}
airtable               AIRTABLE_TOKEN         pat               pat[A-Za-z0-9]{14}\.[0-9a-f]{64}
alibaba                ALIBABA_ACCESS_KEY     LTAI              LTAI[A-Za-z0-9]{17,21}
anthropic              ANTHROPIC_API_KEY      sk-ant-           sk-ant-[a-z0-9]{3,8}-[A-Za-z0-9_-]{32,160}
apify                  APIFY_TOKEN            apify_api_        apify_api_[A-Za-z0-9]{36}
artifactory            ARTIFACTORY_API_KEY    AKCp              AKCp[A-Za-z0-9]{69}
artifactory-reference  ARTIFACTORY_TOKEN      cmVmdGtuOj        cmVmdGtuOj[A-Za-z0-9]{54}
asana                  ASANA_TOKEN            1/|2/             [12]/[0-9]{12,20}(?:/[0-9]{12,20})?:[0-9a-f]{32}
atlassian              ATLASSIAN_API_TOKEN    ATATT3|ATCTT3     AT[AC]TT3[A-Za-z0-9_=-]{60,250}
aws-access-key         AWS_ACCESS_KEY_ID      AKIA|ASIA|ABIA    A(?:KIA|SIA|BIA)[A-Z2-7]{16}
aws-bedrock            AWS_BEARER_TOKEN_BEDROCK ABSK            ABSK[A-Za-z0-9+/]{109,269}={0,2}
azure-client-secret    AZURE_CLIENT_SECRET    8Q~|7Q~           [A-Za-z0-9_~.]{3}[78]Q~[A-Za-z0-9_~.-]{31,34}
bitbucket              BITBUCKET_PASSWORD     ATBB              ATBB[A-Za-z0-9]{32}
brave                  BRAVE_API_KEY          BSA               BSA[A-Za-z0-9_-]{28}
braintree              BRAINTREE_TOKEN        access_token$     access_token\$(?:production|sandbox)\$[0-9a-z]{16}\$[0-9a-f]{32}
brevo                  BREVO_API_KEY          xkeysib-          xkeysib-[0-9a-f]{64}-[A-Za-z0-9]{16}
buildkite              BUILDKITE_TOKEN        bkua_             bkua_[0-9a-f]{40}
cerebras               CEREBRAS_API_KEY       csk-              csk-[a-z0-9]{48}
circleci               CIRCLECI_TOKEN         CCIPAT_           CCIPAT_[A-Za-z0-9]{22}_[0-9a-f]{40}
clojars                CLOJARS_TOKEN          CLOJARS_          CLOJARS_[0-9a-z]{60}
cloudflare-origin-ca   CLOUDFLARE_CA_KEY      v1.0-             v1\.0-[0-9a-f]{24}-[0-9a-f]{146}
contentful             CONTENTFUL_TOKEN       CFPAT-            CFPAT-[A-Za-z0-9_-]{43}
crates-io              CARGO_REGISTRY_TOKEN   cio               cio[A-Za-z0-9]{32}
databricks             DATABRICKS_TOKEN       dapi              dapi[0-9a-f]{32}(?:-[0-9])?
digitalocean           DIGITALOCEAN_TOKEN     _v1_              do[opr]_v1_[0-9a-f]{64}
discord-bot            DISCORD_TOKEN          .                 [MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,38}
discord-webhook        DISCORD_WEBHOOK        /api/webhooks/    https://discord(?:app)?\.com/api/webhooks/[0-9]{17,20}/[A-Za-z0-9_-]{60,72}
docker-hub             DOCKER_TOKEN           dckr_             dckr_[po]at_[A-Za-z0-9_-]{27,32}
doppler                DOPPLER_TOKEN          dp.               dp\.(?:pt|st|ct|sa|scim|audit)\.(?:[a-z0-9_-]{2,35}\.)?[A-Za-z0-9]{40,44}
duffel                 DUFFEL_TOKEN           duffel_           duffel_(?:test|live)_[A-Za-z0-9_=-]{43}
dynatrace              DYNATRACE_TOKEN        dt0c01.           dt0c01\.[A-Z0-9]{24}\.[A-Z0-9]{64}
e2b                    E2B_API_KEY            e2b_              e2b_[0-9a-f]{40}
easypost               EASYPOST_API_KEY       EZAK|EZTK         EZ[AT]K[A-Za-z0-9]{54}
elevenlabs             ELEVENLABS_API_KEY     sk_               sk_[0-9a-f]{48}
figma                  FIGMA_TOKEN            figd_             figd_[A-Za-z0-9_-]{40}
firecrawl              FIRECRAWL_API_KEY      fc-               fc-[0-9a-f]{32}
fly-io                 FLY_API_TOKEN          fm1_|fm2_|fo1_    (?:fm[12]r?_[A-Za-z0-9+/]{100,600}={0,3}|fo1_[A-Za-z0-9_-]{43})
flutterwave            FLUTTERWAVE_KEY        FLWSECK           FLWSECK(?:_TEST)?-[0-9a-hA-H]{12,32}(?:-X)?
frame-io               FRAMEIO_TOKEN          fio-u-            fio-u-[A-Za-z0-9_=-]{64}
github                 GITHUB_TOKEN           ghp_|gho_|ghu_|ghs_|ghr_ gh[pousr]_[A-Za-z0-9]{36,76}
github-fine-grained    GITHUB_TOKEN           github_pat_       github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}
gitlab                 GITLAB_TOKEN           gl                gl(?:pat|dt|rt|rtr|cbt|ptt|ft|imt|agent|oas|soat|ffct)-[A-Za-z0-9_-]{20,64}(?:\.[0-9a-z]{2}\.[0-9a-z]{7,9})?
google-api-key         GOOGLE_API_KEY         AIza              AIza[A-Za-z0-9_-]{35}
google-oauth-secret    GOOGLE_CLIENT_SECRET   GOCSPX-           GOCSPX-[A-Za-z0-9_-]{28}
google-oauth-token     GOOGLE_ACCESS_TOKEN    ya29.             ya29\.[A-Za-z0-9_-]{30,300}
google-refresh-token   GOOGLE_REFRESH_TOKEN   1//0              1//0[A-Za-z0-9_-]{40,120}
grafana-cloud          GRAFANA_TOKEN          glc_              glc_eyJ[A-Za-z0-9+/]{40,400}={0,2}
grafana-service        GRAFANA_TOKEN          glsa_             glsa_[A-Za-z0-9]{32}_[0-9a-fA-F]{8}
groq                   GROQ_API_KEY           gsk_              gsk_[A-Za-z0-9]{48,56}
heroku                 HEROKU_API_KEY         HRKU-             HRKU-[A-Za-z0-9_-]{36,70}
hubspot                HUBSPOT_TOKEN          pat-              pat-(?:na|eu)[0-9]-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}
hugging-face           HF_TOKEN               hf_|api_org_      (?:hf|api_org)_[A-Za-z0-9]{34}
infracost              INFRACOST_API_KEY      ico-              ico-[A-Za-z0-9]{32}
jina                   JINA_API_KEY           jina_             jina_[A-Za-z0-9_-]{55,65}
langfuse               LANGFUSE_SECRET_KEY    sk-lf-            sk-lf-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}
langsmith              LANGSMITH_API_KEY      lsv2_             lsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}
launchdarkly           LAUNCHDARKLY_KEY       sdk-|api-         (?:sdk|api)-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}
linear                 LINEAR_API_KEY         lin_              lin_(?:api|oauth)_[A-Za-z0-9]{40,64}
mailchimp              MAILCHIMP_API_KEY      -us               [0-9a-f]{32}-us[0-9]{1,2}
mailersend             MAILERSEND_TOKEN       mlsn.             mlsn\.[0-9a-f]{64}
mailgun                MAILGUN_API_KEY        key-              key-[0-9a-f]{32}
mapbox                 MAPBOX_TOKEN           sk.eyJ            sk\.eyJ[A-Za-z0-9_-]{40,120}\.[A-Za-z0-9_-]{22}
neon                   NEON_API_KEY           napi_             napi_[a-z0-9]{64}
netlify                NETLIFY_TOKEN          nfp_              nfp_[A-Za-z0-9]{36,40}
new-relic              NEW_RELIC_API_KEY      NRAK-             NRAK-[A-Z0-9]{27}
new-relic-license      NEW_RELIC_LICENSE_KEY  NRAL              [0-9a-f]{36}NRAL
notion                 NOTION_TOKEN           ntn_              ntn_[0-9]{11}[A-Za-z0-9]{35}
npm                    NPM_TOKEN              npm_              npm_[A-Za-z0-9]{36}
nuget                  NUGET_API_KEY          oy2               oy2[a-z0-9]{43}
nvidia                 NVIDIA_API_KEY         nvapi-            nvapi-[A-Za-z0-9_-]{60,70}
onepassword            OP_SERVICE_ACCOUNT_TOKEN ops_eyJ         ops_eyJ[A-Za-z0-9+/=_-]{100,1200}
openai                 OPENAI_API_KEY         sk-proj-|sk-svcacct-|sk-admin-|T3BlbkFJ sk-(?:(?:proj|svcacct|admin)-[A-Za-z0-9_-]{40,200}|[A-Za-z0-9_-]{20,100}T3BlbkFJ[A-Za-z0-9_-]{20,100})
openrouter             OPENROUTER_API_KEY     sk-or-            sk-or-v1-[0-9a-f]{64}
perplexity             PERPLEXITY_API_KEY     pplx-             pplx-[A-Za-z0-9]{48}
pinecone               PINECONE_API_KEY       pcsk_             pcsk_[A-Za-z0-9]{4,8}_[A-Za-z0-9]{50,70}
plaid                  PLAID_TOKEN            access-           access-(?:sandbox|development|production)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}
planetscale            PLANETSCALE_TOKEN      pscale_           pscale_(?:tkn|pw|oauth)_[A-Za-z0-9_.=-]{32,64}
posthog                POSTHOG_API_KEY        phx_              phx_[A-Za-z0-9]{43,48}
postman                POSTMAN_API_KEY        PMAK-             PMAK-[0-9a-f]{24}-[0-9a-f]{34}
prefect                PREFECT_API_KEY        pnu_              pnu_[A-Za-z0-9]{36}
pulumi                 PULUMI_ACCESS_TOKEN    pul-              pul-[0-9a-f]{40}
pypi                   PYPI_TOKEN             pypi-AgE          pypi-AgE[A-Za-z0-9_-]{50,300}
readme                 README_API_KEY         rdme_             rdme_[a-z0-9]{70}
render                 RENDER_API_KEY         rnd_              rnd_[A-Za-z0-9]{28,36}
replicate              REPLICATE_API_TOKEN    r8_               r8_[A-Za-z0-9]{37}
resend                 RESEND_API_KEY         re_               re_[A-Za-z0-9]{8}_[A-Za-z0-9]{24}
rubygems               RUBYGEMS_API_KEY       rubygems_         rubygems_[0-9a-f]{48}
sendgrid               SENDGRID_API_KEY       SG.               SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,64}
sentry                 SENTRY_AUTH_TOKEN      sntry             sntry(?:s_eyJ[A-Za-z0-9+/=_-]{60,400}|u_[0-9a-f]{64})
shippo                 SHIPPO_TOKEN           shippo_           shippo_(?:live|test)_[0-9a-f]{40}
shopify                SHOPIFY_TOKEN          shp               shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}
slack                  SLACK_TOKEN            xox|xapp-         (?:xox[baprse]-(?:[0-9]{1,16}-)?[A-Za-z0-9-]{20,200}|xoxe\.xox[bp]-[0-9]-[A-Za-z0-9]{100,200}|xapp-[0-9]-[A-Z0-9]{8,12}-[0-9]{10,15}-[0-9a-f]{64})
slack-webhook          SLACK_WEBHOOK          hooks.slack.com   https://hooks\.slack\.com/(?:services|workflows|triggers)/[A-Z0-9]{8,12}/[A-Z0-9]{8,14}/[A-Za-z0-9]{20,40}
sonarqube              SONAR_TOKEN            sqp_|sqa_|squ_    sq[pau]_[0-9a-f]{40}
square                 SQUARE_TOKEN           EAAA|sq0          (?:EAAA[A-Za-z0-9_-]{60}|sq0csp-[A-Za-z0-9_-]{43}|sq0atp-[A-Za-z0-9_-]{22})
stripe                 STRIPE_SECRET_KEY      k_live_|k_test_|k_prod_ [sr]k_(?:live|test|prod)_[A-Za-z0-9]{16,120}
stripe-webhook         STRIPE_WEBHOOK_SECRET  whsec_            whsec_[A-Za-z0-9+/]{32,64}={0,2}
supabase               SUPABASE_KEY           sbp_|sb_secret_   (?:sbp_[0-9a-f]{40}|sb_secret_[A-Za-z0-9_-]{22,60})
tailscale              TAILSCALE_KEY          tskey-            tskey-(?:auth|api|client|scim|webhook)-[A-Za-z0-9]{8,20}-[A-Za-z0-9]{20,40}
tavily                 TAVILY_API_KEY         tvly-             tvly-(?:dev-|prod-)?[A-Za-z0-9-]{32}
teams-webhook          TEAMS_WEBHOOK          webhook.office.com https://[a-z0-9-]{1,60}\.webhook\.office\.com/webhookb2/[0-9a-f-]{36}@[0-9a-f-]{36}/IncomingWebhook/[0-9a-f]{32}/[0-9a-f-]{36}
telegram               TELEGRAM_TOKEN         :AA               [0-9]{8,10}:AA[A-Za-z0-9_-]{33}
tencent                TENCENT_SECRET_ID      AKID              AKID[A-Za-z0-9]{32}
terraform              TERRAFORM_TOKEN        .atlasv1.         [A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,70}
together               TOGETHER_API_KEY       tgp_v1_           tgp_v1_[A-Za-z0-9_-]{43}
twilio                 TWILIO_API_KEY         SK                SK[0-9a-f]{32}
typeform               TYPEFORM_TOKEN         tfp_              tfp_[A-Za-z0-9_.=-]{40,64}
vault                  VAULT_TOKEN            hvs.|hvb.|hvr.    hv[sbr]\.[A-Za-z0-9_-]{24,300}
vercel-blob            BLOB_READ_WRITE_TOKEN  vercel_blob_rw_   vercel_blob_rw_[A-Za-z0-9]{10,24}_[A-Za-z0-9]{20,40}
voyage                 VOYAGE_API_KEY         pa-               pa-[A-Za-z0-9_-]{43}
xai                    XAI_API_KEY            xai-              xai-[A-Za-z0-9]{70,90}
yandex                 YANDEX_API_KEY         AQVN              AQVN[A-Za-z0-9_-]{35,38}
sk-key                 API_KEY                sk-               sk-[A-Za-z0-9]{32,64}
"""  # noqa: E501 - a table


@dataclass(frozen=True, slots=True)
class _Provider:
    rule: str
    name: str
    hints: tuple[str, ...]
    pattern: re.Pattern[str]


def _providers() -> Iterator[_Provider]:
    for row in _PROVIDERS.strip().splitlines():
        rule, name, hints, shape = row.split(maxsplit=3)
        yield _Provider(rule, name, tuple(hints.split("|")), re.compile(rf"(?:{shape})(?![A-Za-z0-9_-])"))


PROVIDERS = tuple(_providers())
RULES = (
    *(provider.rule for provider in PROVIDERS),
    *"private-key jwt connection-string azure-storage basic-auth bearer-token aws-secret-key".split(),
    *"kubernetes-secret netrc named-literal".split(),
)

# Structures

_PEM = re.compile(
    r"-----BEGIN (?:[A-Z0-9]{2,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
    r"(?P<body>(?:\\[nr]|[\s\"'+,A-Za-z0-9/=:.;()#>|]|-(?!----)){64,20000}?)-----END"
)
_JWT = re.compile(r"eyJ[A-Za-z0-9_-]{10,4000}\.eyJ[A-Za-z0-9_-]{10,8000}\.(?P<v>[A-Za-z0-9_-]{20,1000})")
_ADDRESS = re.compile(
    r"://(?P<user>[^\s:/@'\"`<>?#]{0,80}):(?P<v>[^\s@/'\"`<>]{3,200})@(?P<host>[^\s'\"`<>/:?]{1,255})"
)
_LONG = re.compile(r"[^\s\"'`<>,;()]{20,}")
_STORAGE = re.compile(r"(?:AccountKey|SharedAccessKey)=(?P<v>[A-Za-z0-9+/]{40,90}={1,2})")
_BASIC = re.compile(r"Basic[ ]+(?P<v>[A-Za-z0-9+/]{12,400}={0,2})(?![A-Za-z0-9+/=])")
_BEARER = re.compile(r"Bearer[ ]+(?P<v>[A-Za-z0-9._~+/-]{20,2000}=*)")
_AWS = re.compile(
    r"(?i:aws|secret)[A-Za-z0-9_.-]{0,30}[\"']?\s{0,3}(?:=>|[:=])\s{0,3}[\"']?(?P<v>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])"
)
_KUBERNETES = re.compile(r"^kind:[ ]*[\"']?Secret\b", re.MULTILINE)
_DATUM = re.compile(
    r"^[ ]{2,}(?P<k>[A-Za-z0-9._-]{1,100}):[ ]*[\"']?(?P<v>[A-Za-z0-9+/]{8,8000}={0,2})[\"']?[ ]*$", re.MULTILINE
)
_NETRC = re.compile(r"\bpassword[ \t]+(?P<v>\S{4,200})")
_CURL = re.compile(r"curl\b[^\n]{0,300}?[ ](?:-u|--user)[ =]?[\"']?(?P<user>[\w.@-]{1,80}):(?P<v>[^\s\"'$]{6,200})")

# Literals beside a name

_WORD = (
    r"api[_-]?key|apikey|access[_-]?key|account[_-]?key|auth[_-]?key|client[_-]?secret|encryption[_-]?key|master[_-]?key|"
    r"private[_-]?key|secret[_-]?key|service[_-]?key|signing[_-]?key|licen[sc]e[_-]?key|credential|passphrase|"
    r"passwo?r?d|passwd|pwd|secret|token|jwt"
)
_MARKS = ("key", "secret", "token", "pass", "pwd", "credential", "jwt")  # one is in every name that `_WORD` knows
_ASSIGNED = re.compile(  # from the operator on: `re` skips to it at C speed; the name is looked at only then
    r"[:=](?:(?<=:)=|(?<==)>)?(?!=)[ \t]{0,8}(?=[rbuf]?(?P<q>\\?[\"'`])(?P<v>[^\"'`\s\\]{6,400}+)(?P=q)"
    r"|(?P<bare>[^\s\"'`#,;<>{}()\[\]$&|*][^\s\"'`<>]{5,400}+)(?=\s|$))"
)
_DEFAULT = re.compile(
    r"(?:getenv|environ\.get)\(\s{0,4}[\"'](?P<k>\w{3,100})[\"'],\s{0,4}[\"'](?P<v>[^\"'\s\\]{6,400})[\"']"
)
_NAME_BEFORE = re.compile(  # ends at the operator; a type may stand between
    r"(?P<k>[A-Za-z_][A-Za-z0-9_.-]{0,99})\\?[\"']?\]?[ \t]{0,8}(?::[ ]?(?:Final|str|string|String|&str)[ ]?)?$"
)
_VALUE = re.compile(r"alue[\"']?[ ]{0,8}:[ ]{0,8}[\"']?(?P<v>[^\s\"'<>{}$]{6,400})")
_KEY_BEFORE = re.compile(  # render.yaml, Kubernetes, ECS: `- key: NAME` and on the next line `value: …`
    r"(?:key|name)[\"']?[ ]*:[ ]*[\"']?(?P<k>[A-Za-z0-9_.-]{3,100})[\"']?[ ]*,?\s{1,80}[\"']?v$", re.IGNORECASE
)
_BEFORE = 140  # characters before an operator in which the name stands
_SECRET_NAME = re.compile(_WORD, re.IGNORECASE)
_NOT_SECRET_NAME = re.compile(  # the name says that this is about a secret, not one
    r"(?:_|-|\.|\b)(?:file|path|dir|url|uri|endpoint|host|name|names|id|ids|type|kind|len|length|size|count|max|min|limit|"
    r"budget|field|header|prefix|suffix|format|pattern|regex|re|env|var|variable|expires?|expiry|ttl|age|at|hash|sha\d*|md5|"
    r"digest|checksum|hint|label|policy|rotation|version|ref|from|provider|store|manager|scopes?|class|cls|param|algorithm|"
    r"alg|tokenizer|public)$|tokeniz|tokens$|public|csrf|placeholder|example|"
    r"(?:page|continuation|next|previous|sync|resume|cursor|delta|start|end|stop|pad|bos|eos|unk|sep|mask|special)[_-]?token",
    re.IGNORECASE,
)
_CAMEL_TAIL = re.compile(r"(?<=[a-z])(?:Id|Url|Uri|File|Path|Name|Type|Header|Field|Hash|Length|Count)s?$")

# What is no secret

_PLACEHOLDER = re.compile(
    r"example|sample|dummy|placeholder|change[-_ ]?(?:me|this|it)|replace|redacted|insert[-_]|fake|"
    r"not[-_]?(?:a[-_]?)?(?:real|secret|so)|xxxx|\*\*\*|\.\.\.|…|0123456789|123456789|abcdefgh|qwertyui|deadbeef|lorem|"
    r"secret://|<[a-z _-]+>|\$\{|\$\(|\{\{|%\(|%s|\[[a-z_]+\]",
    re.IGNORECASE,
)
_WORDS = sorted(
    (
        "your my the some this that is a an for to of in here test testing tester tests testuser demo default dev "
        "develop development local localhost prod production staging user username admin root guest pass password "
        "passwort passwd passphrase pwd secret secrets token tokens api key keys access auth client private public "
        "credential credentials value values string name id todo tbd none null nil true false undefined unset "
        "empty optional required invalid valid wrong bad good correct new old foo bar baz qux spam eggs postgres "
        "postgresql mysql mongo mongodb redis rabbitmq minio github gitlab openai anthropic bearer basic super "
        "very strong long random safe hidden session csrf jwt app application service server db database hunter "
        "letmein qwerty abc xyz base64 hex sha256 sha1 md5 hs256 rs256 "
    ).split(),
    key=len,
    reverse=True,  # the longest first: the repetition below never goes back
)
_WEAK = re.compile(  # a literal of only such words names a value, it is none
    rf"(?:[-_./:= ]|{'|'.join(_WORDS)}|\d{{1,4}}(?![A-Za-z0-9]))++", re.IGNORECASE
)
_REFERENCE = re.compile(  # code and templates that fetch a value from somewhere
    r"^(?:\$|%|@|!|&|\*|~|\{|<|#|/|\./|\.\./|https?:|file:|arn:|vault:|op:|env:|ssm:|projects/|ref\+)|\(|\)|\[|\]|"
    r"^[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)+$|^process\.env|^os\.|::|->|=>|\\[nrt]|^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+$"
)
_WORDY = re.compile(r"^[A-Za-z]+(?:[-_.:/+ ][A-Za-z]+)*[-_]?\d{0,4}[!?.]?$")  # `my-secret-token`, `SessionToken2`
_UUID = re.compile(r"^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$", re.IGNORECASE)

MIN_CODE_BITS = 3.3  # Shannon entropy per character: twelve random letters and digits have about 3.4
MIN_CODE_CHARACTERS = 12
MIN_TOKEN_BITS = 2.5  # 32 random hex digits have about 3.6, a run of one has 0
MIN_CONFIG_CHARACTERS = 6
CRAMPED = 5  # the same character so often in a row was typed, not drawn


def entropy(text: str) -> float:
    """Shannon entropy of the characters of `text`, in bits per character."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values()) if text else 0.0


def drawn(value: str) -> bool:
    """Whether `value` could have been drawn at random: no placeholder, no run of one character."""
    return (
        not _PLACEHOLDER.search(value)
        and not re.search(rf"(.)\1{{{CRAMPED - 1},}}", value)
        and entropy(value) >= MIN_TOKEN_BITS
    )


def literal(value: str, medium: Medium, *, password: bool) -> bool:
    """Whether a literal beside a secret's name is a secret, in this medium."""
    if _PLACEHOLDER.search(value) or _REFERENCE.search(value) or _WEAK.fullmatch(value):
        return False
    classes = sum(bool(re.search(kind, value)) for kind in ("[a-z]", "[A-Z]", "[0-9]", "[^A-Za-z0-9]"))
    if medium is Medium.CONFIG:
        if password:
            return len(value) >= MIN_CONFIG_CHARACTERS
        return len(value) >= 8 and (classes > 1 and not _WORDY.match(value)) and entropy(value) >= MIN_TOKEN_BITS  # noqa: PLR2004
    return (
        len(value) >= MIN_CODE_CHARACTERS
        and bool(re.search("[0-9]", value))
        and bool(re.search("[A-Za-z]", value))
        and not _WORDY.match(value)
        and not _UUID.match(value)
        and entropy(value) >= min(MIN_CODE_BITS, math.log2(len(value)) - 0.6)
        and drawn(value)
    )


def find(text: str, medium: Medium, *, file_name: str = "") -> Iterator[Match]:
    """Credentials in `text`, in order of their start; each place is reported once, by the rule that knows most."""
    starts: list[int] = []
    found: list[Match] = []  # in the order of `starts`, disjoint
    for match in _all(text, medium, file_name):
        i = bisect_right(starts, match.start)
        if (i == 0 or found[i - 1].end <= match.start) and (i == len(found) or match.end <= found[i].start):
            starts.insert(i, match.start)
            found.insert(i, match)
    yield from found


def _all(text: str, medium: Medium, file_name: str) -> Iterator[Match]:
    if "PRIVATE KEY" in text:
        yield from _keys(text)
    yield from _issued(text)
    for matched in _ADDRESS.finditer(text):
        scheme = text[matched.start() - 1 : matched.start()]
        if scheme.isalnum() and _password(matched["v"], matched["user"], matched["host"]):
            yield _match("connection-string", matched, "DATABASE_URL")
    if medium is Medium.LOCK:
        return
    yield from _structures(text, file_name)
    yield from _literals(text, medium)


def _issued(text: str) -> Iterator[Match]:
    """What issuers marked. It has no white space and is long, so only the long words are looked through."""
    words: list[str] = []
    offsets: list[int] = []  # in the joined words …
    places: list[int] = []  # … and in the text
    at = 0
    for matched in _LONG.finditer(text):
        words.append(matched[0])
        offsets.append(at)
        places.append(matched.start())
        at += len(matched[0]) + 1
    joined = "\n".join(words)
    for provider in PROVIDERS:
        if any(hint in joined for hint in provider.hints):
            for matched in provider.pattern.finditer(joined):
                if _edge(joined, matched.start()) and drawn(matched[0]):
                    start = _place(matched.start(), offsets, places)
                    yield Match(
                        rule=provider.rule,
                        start=start,
                        end=start + len(matched[0]),
                        value=matched[0],
                        name=provider.name,
                    )
    if "eyJ" in joined:
        for matched in _JWT.finditer(joined):
            if _edge(joined, matched.start()) and _token(matched[0]):
                start = _place(matched.start(), offsets, places)
                yield Match(rule="jwt", start=start, end=start + len(matched[0]), value=matched[0], name="TOKEN")


def _place(offset: int, offsets: list[int], places: list[int]) -> int:
    i = bisect_right(offsets, offset) - 1
    return places[i] + offset - offsets[i]


def _edge(text: str, start: int) -> bool:
    r"""Whether a credential can begin at `start`: not within a word, but after an escape such as a `\n` of JSON."""
    before = text[max(0, start - 2) : start]
    return not before or before in {"\\n", "\\r", "\\t"} or not re.match(r"[A-Za-z0-9_.+/-]", before[-1])


def _keys(text: str) -> Iterator[Match]:
    for matched in _PEM.finditer(text):
        body = re.sub(r"\\[nr]|[^A-Za-z0-9+/]", "", matched["body"])
        if len(body) >= 64 and entropy(body) >= MIN_CODE_BITS and not _PLACEHOLDER.search(matched["body"]):  # noqa: PLR2004 - one line
            yield _match("private-key", matched, "PRIVATE_KEY", group=0)


def _structures(text: str, file_name: str) -> Iterator[Match]:
    if "AccountKey=" in text or "SharedAccessKey=" in text:
        yield from (_match("azure-storage", m, "AZURE_STORAGE_KEY") for m in _STORAGE.finditer(text) if drawn(m["v"]))
    if "Basic " in text:
        for matched in _BASIC.finditer(text):
            user, _, password = _base64(matched["v"]).partition(":")
            if password and _password(password, user, ""):
                yield _match("basic-auth", matched, "BASIC_AUTH")
    if "Bearer " in text:
        yield from (
            _match("bearer-token", m, "TOKEN")
            for m in _BEARER.finditer(text)
            if literal(m["v"], Medium.CODE, password=False)
        )
    if "curl" in text:
        yield from (
            _match("basic-auth", m, "PASSWORD") for m in _CURL.finditer(text) if _password(m["v"], m["user"], "")
        )
    for matched in _AWS.finditer(text) if "aws" in text or "AWS" in text else ():
        value = matched["v"]
        if drawn(value) and entropy(value) >= 4 and not re.fullmatch("[0-9a-f]+|[A-Z0-9]+", value):  # noqa: PLR2004 - 40 drawn have 4.6
            yield _match("aws-secret-key", matched, "AWS_SECRET_ACCESS_KEY")
    if _KUBERNETES.search(text):
        for matched in _DATUM.finditer(text):
            value = _base64(matched["v"])
            if value and literal(value, Medium.CONFIG, password=bool(_SECRET_NAME.search(matched["k"]))):
                yield _match("kubernetes-secret", matched, _handle(matched["k"]))
    if file_name in {".netrc", "_netrc"}:
        yield from (
            _match("netrc", m, "PASSWORD")
            for m in _NETRC.finditer(text)
            if literal(m["v"], Medium.CONFIG, password=True)
        )


def _literals(text: str, medium: Medium) -> Iterator[Match]:
    for matched in _ASSIGNED.finditer(text):
        group = "bare" if matched["v"] is None else "v"
        if group == "bare" and medium is not Medium.CONFIG:
            continue
        before = text[max(0, matched.start() - _BEFORE) : matched.start()]
        if before[-1:] in {"=", "!", "<", ">"} or not any(mark in before.lower() for mark in _MARKS):
            continue
        named = _NAME_BEFORE.search(before)
        value = matched[group].rstrip("},;])") if group == "bare" else matched[group]  # `{a: b, c: d}` of YAML
        if named and _named_so(named["k"], value, medium):
            start = matched.start(group)
            yield Match(
                rule="named-literal", start=start, end=start + len(value), value=value, name=_handle(named["k"])
            )
    if "env" in text:
        for matched in _DEFAULT.finditer(text):
            if _named_so(matched["k"], matched["v"], medium):
                yield _match("named-literal", matched, _handle(matched["k"]))
    for matched in _VALUE.finditer(text):
        named = _KEY_BEFORE.search(text, max(0, matched.start() - 2 * _BEFORE), matched.start())
        if named and _named_so(named["k"], matched["v"], Medium.CONFIG):
            yield _match("named-literal", matched, _handle(named["k"]))


def _named_so(key: str, value: str, medium: Medium) -> bool:
    """Whether the name says that the literal beside it is a secret, and the literal looks like one."""
    return bool(_SECRET_NAME.search(key)) and _secret_name(key) and literal(value, medium, password=_is_password(key))


def _secret_name(key: str) -> bool:
    return not _NOT_SECRET_NAME.search(key) and not _CAMEL_TAIL.search(key)


def _is_password(key: str) -> bool:
    return bool(re.search(r"pass|pwd", key, re.IGNORECASE))


def _match(rule: str, matched: re.Match[str], name: str, *, group: str | int = "v") -> Match:
    start, end = matched.span(group)
    return Match(rule=rule, start=start, end=end, value=matched.string[start:end], name=name)


def _handle(key: str) -> str:
    """`NAME` of the handle that a variable or key would have."""
    name = re.sub(r"[^A-Z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).upper()).strip("_")
    return name if name and not name[0].isdigit() else f"SECRET_{name}"


def _password(value: str, user: str, host: str) -> bool:
    """Whether a password in an address is one: no template, no word, not the user's own name."""
    return (
        value.casefold() not in {user.casefold(), "x-oauth-basic"}
        and not host.casefold().endswith((".example", "example.com", "example.org", "example.net", ".invalid", ".test"))
        and len(value) >= MIN_CONFIG_CHARACTERS
        and literal(value, Medium.CONFIG, password=True)
        and not re.fullmatch(r"[0-9]{1,5}", value)
    )


def _token(value: str) -> bool:
    """Whether the three parts of a JWT are an issued one's: JSON in front, no example of a manual."""
    head = _base64(value.split(".", 1)[0])
    return (
        '"alg"' in head
        and "SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c" not in value
        and drawn(value.rsplit(".", 1)[1])
    )


def _base64(text: str) -> str:
    """What `text` encodes, if that is text; empty if not."""
    try:
        decoded = base64.b64decode(
            text.rstrip("=").replace("-", "+").replace("_", "/") + "=" * (-len(text.rstrip("=")) % 4)
        ).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return decoded if decoded.strip().isprintable() else ""
