#!/bin/bash
# update-status-page.sh

INCIDENT_ID="inc-20240129-001"
STATUS="investigating"  # investigating, identified, monitoring, resolved
MESSAGE="We are investigating reports of service degradation."

curl -X POST https://api.statuspage.io/v1/pages/PAGE_ID/incidents \
  -H "Authorization: OAuth TOKEN" \
  -H "Content-Type: application/json" \
  -d '{
    "incident": {
      "name": "Service Degradation",
      "status": "'$STATUS'",
      "impact_override": "major",
      "body": "'$MESSAGE'",
      "component_ids": ["COMPONENT_ID"],
      "incident_updates": [{
        "status": "'$STATUS'",
        "body": "'$MESSAGE'"
      }]
    }
  }'
