#!/bin/bash
# The written plan's regional-failover.sh, its commands and their order as they are there. Changed only so that
# it can run: the stand-ins' endpoints, ids that exist, and a limit on each command, for a lost control plane
# never answers. As in the plan nothing is measured, fenced or waited for, and a failed step stops nothing.
STEPS=${STEPS:?}; LIMIT=${LIMIT:?}; : >"$STEPS"

step() { # NAME COMMAND...: runs it, notes its exit code and its seconds
    local name=$1 began=$EPOCHREALTIME code
    shift
    timeout "$LIMIT" "$@"
    code=$?
    echo "$name $code $(awk "BEGIN { print $EPOCHREALTIME - $began }")" >>"$STEPS"
}

# Step 1: Activate DR region
export KUBECONFIG=$DR_CLUSTER_CONFIG
export AWS_DEFAULT_REGION=us-west-2

# Step 2: Scale up DR infrastructure
step apply kubectl apply -f "$DR_MANIFESTS"
step scale kubectl scale deployment/healing-guard --replicas=5

# Step 3: Promote DR database to primary
step promote aws rds promote-read-replica --db-instance-identifier healing-guard-dr \
    --endpoint-url "$RDS_ENDPOINT"

# Step 4: Update DNS to point to DR
step dns aws route53 change-resource-record-sets --hosted-zone-id "$HOSTED_ZONE" --change-batch '{
    "Changes": [{
        "Action": "UPSERT",
        "ResourceRecordSet": {
            "Name": "api.healing-guard.com",
            "Type": "CNAME",
            "TTL": 60,
            "ResourceRecords": [{"Value": "'"$DR_BALANCER"'"}]
        }
    }]
}' --endpoint-url "$ROUTE53_ENDPOINT" --region us-east-1

# Step 5: Notify stakeholders
step notify curl -sS -X POST -H 'Content-type: application/json' \
    --data '{"text":"🚨 DR Activated: Primary region down, failed over to us-west-2. RTO target: 15 minutes."}' \
    "$SLACK_WEBHOOK_URL"
