#!/bin/bash
# regional-failover.sh

# Step 1: Activate DR region
export KUBECONFIG=/path/to/dr-cluster-config
export AWS_DEFAULT_REGION=us-west-2

# Step 2: Scale up DR infrastructure
kubectl apply -f k8s/dr-manifests/
kubectl scale deployment/healing-guard --replicas=5

# Step 3: Promote DR database to primary
aws rds promote-read-replica --db-instance-identifier healing-guard-dr

# Step 4: Update DNS to point to DR
aws route53 change-resource-record-sets --hosted-zone-id Z123456789 --change-batch '{
    "Changes": [{
        "Action": "UPSERT",
        "ResourceRecordSet": {
            "Name": "api.healing-guard.com",
            "Type": "CNAME",
            "TTL": 60,
            "ResourceRecords": [{"Value": "healing-guard-dr-lb.us-west-2.elb.amazonaws.com"}]
        }
    }]
}'

# Step 5: Notify stakeholders
curl -X POST -H 'Content-type: application/json' \
    --data '{"text":"🚨 DR Activated: Primary region down, failed over to us-west-2. RTO target: 15 minutes."}' \
    $SLACK_WEBHOOK_URL
