#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Bills of materials: structure, by checks written from the two specifications since their schemas are in no
# package; names of software; what the bytes depend on.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

vmscm init -q --bare repo.vmscm
VMSCM_DIR=$PWD/repo.vmscm
export VMSCM_DIR
truncate -s 1M disk.raw
# revision MACHINE SYSTEMS: with a disk of its own and these facts
revision() {
    echo "$1" | dd of=disk.raw conv=notrunc status=none
    vmscm checkin -q "$1" vda=disk.raw -m m --date "2026-02-03 04:05:06 +0100"
    echo "{\"schema\": 1, \"date\": \"2026-11-30T12:00:00Z\", \"status\": \"ok\", \"systems\": [$2]}" |
        vmscm inspect -q --from=- "$1"
}
# Every object has what it must have and nothing else, values are of their types and patterns, and
# references are unique.
cat >cyclonedx.jq <<'END'
def only($need; $may): type == "object" and ($need - keys == []) and (keys - $need - $may == []);
def name: type == "string" and length > 0;
def kind: IN("application", "framework", "library", "container", "platform", "operating-system", "device",
    "device-driver", "firmware", "file", "machine-learning-model", "data");
def component:
    only(["type", "name"]; ["bom-ref", "publisher", "version", "description", "licenses", "cpe", "purl"]) and
    (.type | kind) and (.name | name) and ((.version // "") | type == "string") and
    (has("publisher") | not) or (.publisher | name) and
    ((.purl // "pkg:generic/x") | test("^pkg:[a-z]+/([A-Za-z0-9.%~_:-]+/)*[A-Za-z0-9.%~_:-]+(@[A-Za-z0-9.%~_:-]+)?([?][a-z]+=[A-Za-z0-9.%~_:-]+(&[a-z]+=[A-Za-z0-9.%~_:-]+)*)?$")) and
    ((.cpe // "cpe:2.3:a:x:x:1:*:*:*:*:*:*:*") | test("^cpe:2[.]3:[aho]:([a-z0-9._*-]|\\\\[^a-z0-9])+(:([a-z0-9._*-]|\\\\[^a-z0-9])+){9}$")) and
    ((.licenses // []) | all(if has("expression") then only(["expression"]; []) and (.expression | name)
        else only(["license"]; []) and (.license | only(["name"]; []) and (.name | name)) end)) and
    ((.licenses // []) | all(has("license")) or length == 1);
only(["bomFormat", "specVersion", "serialNumber", "version", "metadata", "components"]; ["$schema"]) and
.["$schema"] == "http://cyclonedx.org/schema/bom-1.5.schema.json" and .bomFormat == "CycloneDX" and
.specVersion == "1.5" and .version == 1 and
(.serialNumber | test("^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")) and
(.metadata | only(["timestamp", "tools", "component"]; []) and (.timestamp | fromdate > 0) and
    (.component | component) and (.tools | only(["components"]; []) and (.components | all(component)))) and
(.components | length > 0 and all(component) and (map(.["bom-ref"]) | length == (unique | length)))
END
cat >spdx.jq <<'END'
def only($need; $may): type == "object" and ($need - keys == []) and (keys - $need - $may == []);
def id: test("^SPDXRef-[A-Za-z0-9.-]+$");
def package:
    only(["SPDXID", "name", "downloadLocation"]; ["versionInfo", "filesAnalyzed", "licenseConcluded",
        "licenseDeclared", "copyrightText", "supplier", "summary", "primaryPackagePurpose", "externalRefs"]) and
    (.SPDXID | id) and (.name | length > 0) and .filesAnalyzed == false and .downloadLocation == "NOASSERTION" and
    (.licenseDeclared | test("^[(]*[A-Za-z0-9.+-]+( WITH [A-Za-z0-9.-]+)?[)]*( (AND|OR) [(]*[A-Za-z0-9.+-]+( WITH [A-Za-z0-9.-]+)?[)]*)*$")) and
    ((.supplier // "Organization: x") | test("^Organization: .")) and
    ((.primaryPackagePurpose // "OTHER") | IN("OTHER", "APPLICATION", "OPERATING_SYSTEM")) and
    ((.externalRefs // []) | all(only(["referenceCategory", "referenceType", "referenceLocator"]; []) and
        ([.referenceCategory, .referenceType] | . == ["PACKAGE-MANAGER", "purl"] or . == ["SECURITY", "cpe23Type"])));
only(["spdxVersion", "dataLicense", "SPDXID", "name", "documentNamespace", "creationInfo", "packages",
    "relationships"]; ["hasExtractedLicensingInfos"]) and
.spdxVersion == "SPDX-2.3" and .dataLicense == "CC0-1.0" and .SPDXID == "SPDXRef-DOCUMENT" and
(.documentNamespace | test("^https://[^#]+$")) and
(.creationInfo | only(["created", "creators"]; []) and (.created | fromdate > 0) and
    (.creators | all(test("^Tool: vmscm-[0-9.]+$")))) and
(.packages | all(package) and (map(.SPDXID) | length == (unique | length))) and
([.packages[].SPDXID, .SPDXID] as $ids | .relationships | all(
    only(["spdxElementId", "relationshipType", "relatedSpdxElement"]; []) and
    ([.spdxElementId] - $ids == []) and ([.relatedSpdxElement] - $ids == []) and
    (.relationshipType | IN("DESCRIBES", "CONTAINS")))) and
([.packages[].licenseDeclared | scan("LicenseRef-[A-Za-z0-9.-]+")] | unique) ==
    ([(.hasExtractedLicensingInfos // [])[].licenseId] | unique) and
((.hasExtractedLicensingInfos // []) | all(only(["licenseId", "extractedText"]; ["name"])))
END
# valid MACHINE: both forms are
valid() {
    vmscm sbom "$1" >cdx.json && vmscm sbom --format spdx "$1" >spdx.json &&
        jq -e -f cyclonedx.jq cdx.json && jq -e -f spdx.jq spdx.json
}

check 'Debian' '
    revision web "{\"type\": \"linux\", \"distro\": \"debian\", \"version\": \"12.5\", \"product\": \"Debian GNU/Linux 12\", \"package_format\": \"deb\",
        \"applications\": [{\"name\": \"openssl\", \"version\": \"3.0.11\", \"release\": \"1~deb12u2\", \"arch\": \"amd64\", \"license\": \"Apache-2.0\"},
            {\"name\": \"libstdc++6\", \"epoch\": 1, \"version\": \"12.2.0\", \"release\": \"14+deb12u1\", \"arch\": \"amd64\", \"license\": \"Apache-2.0\"}]}"
    valid web
    [ "$(jq -r ".components[] | .purl // .cpe" cdx.json | tr "\n" " ")" = "cpe:2.3:o:debian:debian_linux:12.5:*:*:*:*:*:*:* \
pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-12.5 \
pkg:deb/debian/openssl@3.0.11-1~deb12u2?arch=amd64&distro=debian-12.5 " ]
    jq -e ".components[2].cpe == \"cpe:2.3:a:openssl:openssl:3.0.11:*:*:*:*:*:*:*\"" cdx.json
    jq -e ".components[2].licenses == [{expression: \"Apache-2.0\"}]" cdx.json
    jq -e ".metadata.timestamp == \"2026-02-03T03:05:06Z\" and .metadata.component.name == \"web\"" cdx.json
    jq -e ".metadata.component.version == \"$(vmscm show --json web | jq -r .id)\"" cdx.json
    jq -e ".creationInfo.created == \"2026-02-03T03:05:06Z\" and (.packages | length) == 4" spdx.json
    jq -e "has(\"hasExtractedLicensingInfos\") | not" spdx.json
    jq -e "[.packages[] | select(.licenseDeclared == \"Apache-2.0\").name] == [\"libstdc++6\", \"openssl\"]" spdx.json'

check 'RPM: the epoch is a qualifier, and names keep their case' '
    revision fed "{\"type\": \"linux\", \"distro\": \"rhel\", \"version\": \"8.9\", \"package_format\": \"rpm\", \"applications\": [
        {\"name\": \"NetworkManager\", \"epoch\": 1, \"version\": \"1.40.16\", \"release\": \"9.el8\", \"arch\": \"x86_64\"}]}"
    valid fed
    jq -e ".components[1].purl == \"pkg:rpm/redhat/NetworkManager@1.40.16-9.el8?arch=x86_64&distro=rhel-8.9&epoch=1\"" cdx.json
    jq -e ".components[0].cpe == \"cpe:2.3:o:redhat:enterprise_linux:8.9:*:*:*:*:*:*:*\"" cdx.json'

check 'what pip, npm and snap installed is no package of the system' '
    revision more "{\"type\": \"linux\", \"distro\": \"debian\", \"version\": \"12.5\", \"package_format\": \"deb\", \"applications\": [
        {\"name\": \"Flask_Cors\", \"version\": \"4.0.0\", \"origin\": \"pip\"}, {\"name\": \"@vue/cli\", \"version\": \"5.0.8\", \"origin\": \"npm\"},
        {\"name\": \"npm\", \"version\": \"9.2.0\", \"origin\": \"npm\"}, {\"name\": \"firefox\", \"release\": \"3779\", \"origin\": \"snap\"}]}"
    valid more
    [ "$(jq -r ".components[1:][].purl" cdx.json | tr "\n" " ")" = "pkg:generic/firefox@3779 pkg:npm/%40vue/cli@5.0.8 \
pkg:npm/npm@9.2.0 pkg:pypi/flask-cors@4.0.0 " ]'

check 'Windows' '
    revision win "{\"type\": \"windows\", \"distro\": \"windows\", \"product\": \"Microsoft Windows Server 2003\", \"version\": \"5.2\", \"service_pack\": 2,
        \"applications\": [{\"name\": \"Oracle home OraDb10g_home1\", \"version\": \"10.2.0\", \"publisher\": \"Oracle Corporation\"},
            {\"name\": \"7-Zip 9.20 (x64)\", \"version\": \"9.20\", \"publisher\": \"Igor Pavlov\"}]}"
    valid win
    jq -e ".components[0].cpe == \"cpe:2.3:o:microsoft:windows_server_2003:-:sp2:*:*:*:*:*:*\"" cdx.json
    jq -e ".components[1] | .purl == \"pkg:generic/7-Zip%209.20%20%28x64%29@9.20\" and .publisher == \"Igor Pavlov\"" cdx.json
    jq -e ".components[2].cpe == \"cpe:2.3:a:oracle:database_server:10.2.0:*:*:*:*:*:*:*\"" cdx.json
    jq -e ".packages | any(.supplier == \"Organization: Oracle Corporation\")" spdx.json'

check 'licences: expressions as they are, what else a package says as a text of its own' '
    revision law "{\"type\": \"linux\", \"distro\": \"debian\", \"package_format\": \"deb\", \"applications\": [
        {\"name\": \"a\", \"version\": \"1\", \"license\": \"GPL-2.0-or-later AND (MIT OR LicenseRef-deb-own)\"},
        {\"name\": \"b\", \"version\": \"1\", \"license\": \"LicenseRef-deb-own\"},
        {\"name\": \"c\", \"version\": \"1\", \"license\": \"GPLv2+ and MIT\"},
        {\"name\": \"d\", \"version\": \"1\", \"license\": \"GPL-2.0-only WITH Linux-syscall-note\"},
        {\"name\": \"e\", \"version\": \"1\", \"license\": \"GPLv2+ and MIT\"}]}"
    valid law
    [ "$(jq -c "[.components[].licenses | select(.) | .[0] | .expression // [.license.name]]" cdx.json)" = "[\"GPL-2.0-or-later AND (MIT OR LicenseRef-deb-own)\",\"LicenseRef-deb-own\",[\"GPLv2+ and MIT\"],\"GPL-2.0-only WITH Linux-syscall-note\",[\"GPLv2+ and MIT\"]]" ]
    jq -e "[.hasExtractedLicensingInfos[] | .licenseId + \":\" + .extractedText] | . == [\"LicenseRef-deb-own:LicenseRef-deb-own\", \"LicenseRef-2:GPLv2+ and MIT\"]" spdx.json'

check 'the same bytes, whatever order facts are in; others for other facts' '
    one="{\"name\": \"a\", \"version\": \"1\"}, {\"name\": \"a\", \"version\": \"1\"}, {\"name\": \"b\", \"version\": \"2\"}"
    two="{\"name\": \"b\", \"version\": \"2\"}, {\"name\": \"a\", \"version\": \"1\"}, {\"name\": \"a\", \"version\": \"1\"}"
    revision order "{\"type\": \"linux\", \"distro\": \"debian\", \"package_format\": \"deb\", \"applications\": [$one]}"
    valid order
    cp cdx.json first.json; cp spdx.json first.spdx.json
    jq -e "[.components[].\"bom-ref\"] == [\"system-1\", \"pkg:deb/debian/a@1\", \"pkg:deb/debian/a@1#2\", \"pkg:deb/debian/b@2\"]" cdx.json
    echo "{\"schema\": 1, \"date\": \"2027-11-30T12:00:00Z\", \"status\": \"ok\", \"systems\": [{\"type\": \"linux\",
        \"distro\": \"debian\", \"package_format\": \"deb\", \"applications\": [$two]}]}" | vmscm inspect -q --from=- order
    valid order
    cmp cdx.json first.json
    cmp spdx.json first.spdx.json
    echo "{\"schema\": 1, \"date\": \"2028-11-30T12:00:00Z\", \"status\": \"ok\", \"systems\": [{\"type\": \"linux\",
        \"distro\": \"debian\", \"package_format\": \"deb\", \"applications\": [$two, $two]}]}" | vmscm inspect -q --from=- order
    valid order
    [ "$(jq .serialNumber cdx.json)" != "$(jq .serialNumber first.json)" ]'

check 'what guests say cannot break it' '
    revision bad "{\"distro\": \"a/b?c#d\", \"package_format\": \"deb\", \"version\": \"&x=1\", \"applications\": [
        {\"name\": \"\", \"version\": \"1\"}, {\"name\": \"x@y?z&arch=q\", \"version\": \"\", \"arch\": \"../..\"},
        {\"name\": \"openssl\", \"version\": \"1:*?\u00e9 \\\\\", \"publisher\": \"\u001b[31m\"}]}, {}"
    valid bad
    jq -e "[.components[].name] == [\"a/b?c#d\", \"unknown\", \"openssl\", \"x@y?z&arch=q\"]" cdx.json
    vmscm sbom bad >out
    [ "$(tr -dc "\033" <out | wc -c)" = 0 ]'

check_fails 1 'it was not inspected' '
    echo other | dd of=disk.raw conv=notrunc status=none
    vmscm checkin -q none vda=disk.raw -m m
    vmscm sbom none' 'was not inspected'

check_fails 1 'its inspection failed' '
    echo "{\"schema\": 1, \"date\": \"2026-11-30T12:00:00Z\", \"status\": \"failed\", \"error\": \"it is odd\"}" |
        vmscm inspect -q --from=- none || true
    vmscm sbom none' 'its inspection failed: it is odd'

check_fails 2 'no such form' 'vmscm sbom --format=word web' 'word'

done_testing
