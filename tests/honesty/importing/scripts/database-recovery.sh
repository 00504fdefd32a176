#!/bin/bash
# database-recovery.sh

# Step 1: Assess damage
pg_dump --host=primary-db --port=5432 --username=postgres --verbose --clean --no-owner --no-acl --format=custom healing_guard > /tmp/assessment.dump

# Step 2: Promote standby to primary
kubectl patch postgresql healing-guard-postgres -p '{"spec":{"postgresql":{"parameters":{"hot_standby":"off"}}}}'

# Step 3: Update application connection strings
kubectl set env deployment/healing-guard DATABASE_URL="postgresql://postgres:password@postgres-standby:5432/healing_guard"

# Step 4: Verify connectivity
kubectl exec -it deployment/healing-guard -- python -c "
import asyncpg
import asyncio
async def test_connection():
    conn = await asyncpg.connect('postgresql://postgres:password@postgres-standby:5432/healing_guard')
    result = await conn.fetchval('SELECT version()')
    print(f'Connected to: {result}')
    await conn.close()
asyncio.run(test_connection())
"

# Step 5: Monitor for data consistency
kubectl logs -f deployment/healing-guard | grep -i "database\|connection\|error"
